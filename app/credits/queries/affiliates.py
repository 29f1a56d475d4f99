"""The lists of affiliates, of their fees, and their earnings."""

from typing import Final

from sqlalchemy import ColumnElement, Text, cast, collate, func, select
from sqlalchemy.dialects.postgresql import JSONB, aggregate_order_by
from sqlalchemy.orm import aliased

from app.billing.enums import CustomerRoleName
from app.credits.models import (
    AffiliateFeeAccrual,
    CustomerAffiliate,
    CustomerCredit,
    billed_invoice,
)
from app.credits.repository.ledger import EARNED_SUM
from app.customers.models import Customer
from app.database.filter_set import contains_text, equals
from app.database.lists import Join, RowList
from app.identity.access import Scope, visible_customers
from app.identity.visible_rows import VisibleRows

_affiliate = aliased(Customer, name="affiliate")
_total = (
    select(func.coalesce(func.sum(AffiliateFeeAccrual.amount), 0))
    .where(AffiliateFeeAccrual.affiliate_link_id == CustomerAffiliate.id)
    .correlate(CustomerAffiliate)
    .scalar_subquery()
)


def _visible(scope: Scope) -> ColumnElement[bool]:
    """Return the condition of the links whose affiliate the caller owns."""
    return visible_customers(CustomerAffiliate.affiliate_id, scope, (CustomerRoleName.OWNER,))


AFFILIATES: Final = VisibleRows(
    RowList(
        table=CustomerAffiliate,
        uuid=CustomerAffiliate.uuid,
        columns={
            "uuid": CustomerAffiliate.uuid,
            "url": CustomerAffiliate.uuid,
            "customer": Customer.uuid,
            "customer_name": Customer.name,
            "customer_uuid": Customer.uuid,
            "affiliate": _affiliate.uuid,
            "affiliate_name": _affiliate.name,
            "affiliate_uuid": _affiliate.uuid,
            "fee_percent": CustomerAffiliate.fee_percent,
            "is_active": CustomerAffiliate.is_active,
            "start_date": CustomerAffiliate.start_date,
            "end_date": CustomerAffiliate.end_date,
            "total_earned": _total,
            "created": CustomerAffiliate.created_at,
        },
        joins=(
            Join(Customer, Customer.id == CustomerAffiliate.customer_id),
            Join(_affiliate, _affiliate.id == CustomerAffiliate.affiliate_id),
        ),
        conditions={
            "affiliate_name": contains_text((_affiliate.name,), "affiliate_name"),
            "affiliate_uuid": equals(_affiliate.uuid, "affiliate_uuid"),
            "customer_name": contains_text((Customer.name,), "customer_name"),
            "customer_uuid": equals(Customer.uuid, "customer_uuid"),
            "is_active": equals(CustomerAffiliate.is_active, "is_active"),
        },
        orders={
            "id": CustomerAffiliate.id,
            "affiliate_name": collate(_affiliate.name, "C"),
            "created": CustomerAffiliate.created_at,
            "customer_name": collate(Customer.name, "C"),
        },
        default_order=("id",),
        visible=_visible,
    )
)
"""In the order of their creation."""

ACCRUALS: Final = VisibleRows(
    RowList(
        table=AffiliateFeeAccrual,
        uuid=AffiliateFeeAccrual.uuid,
        columns={
            "uuid": AffiliateFeeAccrual.uuid,
            "amount": AffiliateFeeAccrual.amount,
            "customer_name": Customer.name,
            "affiliate_uuid": _affiliate.uuid,
            "invoice_year": billed_invoice.c.year,
            "invoice_month": billed_invoice.c.month,
            "created": AffiliateFeeAccrual.created_at,
        },
        joins=(
            Join(CustomerAffiliate, CustomerAffiliate.id == AffiliateFeeAccrual.affiliate_link_id),
            Join(Customer, Customer.id == CustomerAffiliate.customer_id),
            Join(_affiliate, _affiliate.id == CustomerAffiliate.affiliate_id),
            Join(billed_invoice, billed_invoice.c.id == AffiliateFeeAccrual.invoice_id),
        ),
        conditions={"link": equals(CustomerAffiliate.uuid, "link")},
        orders={"id": AffiliateFeeAccrual.id},
        default_order=("-id",),
        visible=_visible,
    )
)
"""Newest first. Read those of one `link`."""

_by_month = (
    select(
        billed_invoice.c.year,
        billed_invoice.c.month,
        func.sum(AffiliateFeeAccrual.amount).label("amount"),
    )
    .join(billed_invoice, billed_invoice.c.id == AffiliateFeeAccrual.invoice_id)
    .where(AffiliateFeeAccrual.affiliate_link_id == CustomerAffiliate.id)
    .group_by(billed_invoice.c.year, billed_invoice.c.month)
    .correlate(CustomerAffiliate)
    .subquery("by_month")
    .lateral()
)
_month = func.jsonb_build_object(
    "year", _by_month.c.year, "month", _by_month.c.month, "amount", cast(_by_month.c.amount, Text)
)
EARNINGS: Final = VisibleRows(
    RowList(
        table=CustomerAffiliate,
        uuid=CustomerAffiliate.uuid,
        columns={
            "total_earned": _total,
            "withdrawable_balance": (
                func.coalesce(CustomerCredit.value, 0).label("value"),
                EARNED_SUM.label("earned"),
            ),
            "per_month": select(
                func.coalesce(
                    func.jsonb_agg(aggregate_order_by(_month, _by_month.c.year, _by_month.c.month)),
                    cast([], JSONB),
                )
            )
            .select_from(_by_month)
            .scalar_subquery(),
        },
        joins=(
            Join(
                CustomerCredit,
                CustomerCredit.customer_id == CustomerAffiliate.affiliate_id,
                optional=True,
            ),
        ),
        orders={"id": CustomerAffiliate.id},
        default_order=("id",),
        visible=_visible,
    )
)
"""The earnings of one link, and the affiliate's credit."""
