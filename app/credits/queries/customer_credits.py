"""The lists of customer credits and of their consumption by month."""

from typing import Any, Final

from sqlalchemy import ColumnElement, Date, Text, cast, collate, func, select
from sqlalchemy.dialects.postgresql import JSONB, aggregate_order_by

from app.catalogue.models import Offering
from app.credits.models import (
    CustomerCredit,
    CustomerCreditOffering,
    ProjectCredit,
    billed_invoice,
    billed_item,
)
from app.credits.queries.months import IS_CHARGED, is_of_month, visibility_with_months
from app.credits.repository.ledger import EARNED_SUM
from app.customers.models import Customer, Project
from app.database.filter_set import contains_text, equals
from app.database.lists import Join, RowList
from app.identity.access import visible_customers
from app.identity.visible_rows import VisibleRows


def names_of(table: type[Customer] | type[Project]) -> tuple[Any, ...]:
    """Return the texts in which the parameter `query` looks: name, slug, and both forms of UUID."""
    uuid = cast(table.uuid, Text)
    return table.name, table.slug, uuid, func.replace(uuid, "-", "")


def customer_conditions() -> dict[str, ColumnElement[bool]]:
    """Return the filters by customer that lists of credits share."""
    return {
        "customer_name": contains_text((Customer.name,), "customer_name"),
        "customer_slug": equals(Customer.slug, "customer_slug"),
        "customer_uuid": equals(Customer.uuid, "customer_uuid"),
    }


_offering = func.jsonb_build_object(
    "uuid", Offering.uuid, "type", Offering.type, "name", Offering.name
)
OFFERINGS: Final = (
    select(
        func.coalesce(func.jsonb_agg(aggregate_order_by(_offering, Offering.id)), cast([], JSONB))
    )
    .join(CustomerCreditOffering, CustomerCreditOffering.offering_id == Offering.id)
    .where(CustomerCreditOffering.customer_credit_id == CustomerCredit.id)
    .correlate(CustomerCredit)
    .scalar_subquery()
)
"""The offerings that a customer credit pays, as objects with `uuid`, `type` and `name`."""
ALLOCATED: Final = (
    select(func.coalesce(func.sum(ProjectCredit.value), 0))
    .join(Project, Project.id == ProjectCredit.project_id)
    .where(Project.customer_id == CustomerCredit.customer_id)
    .correlate(CustomerCredit)
    .scalar_subquery()
)
"""The sum of the credits of the customer's projects."""
PAID: Final = -billed_item.c.unit_price * billed_item.c.quantity
"""The amount that a compensation took from the credit, as in the ledger. Its price is rounded."""
# Null without an invoice of the month.
_consumed_last_month = (
    select(func.coalesce(func.sum(PAID), 0))
    .select_from(billed_invoice)
    .outerjoin(
        billed_item,
        (billed_item.c.invoice_id == billed_invoice.c.id)
        & (billed_item.c.customer_credit_id == CustomerCredit.id)
        & IS_CHARGED,
    )
    .where(billed_invoice.c.customer_id == CustomerCredit.customer_id, is_of_month("last"))
    .group_by(billed_invoice.c.id)
    .correlate(CustomerCredit)
    .scalar_subquery()
)

CUSTOMER_CREDITS: Final = VisibleRows(
    RowList(
        table=CustomerCredit,
        uuid=CustomerCredit.uuid,
        columns={
            "uuid": CustomerCredit.uuid,
            "url": CustomerCredit.uuid,
            "value": CustomerCredit.value,
            "customer": Customer.uuid,
            "customer_name": Customer.name,
            "customer_uuid": Customer.uuid,
            "customer_slug": Customer.slug,
            "offerings": OFFERINGS,
            "end_date": CustomerCredit.end_date,
            "expected_consumption": CustomerCredit.expected_consumption,
            "minimal_consumption": CustomerCredit.expected_consumption,
            "minimal_consumption_logic": CustomerCredit.minimal_consumption_logic,
            "grace_coefficient": CustomerCredit.grace_coefficient,
            "apply_as_minimal_consumption": CustomerCredit.apply_as_minimal_consumption,
            "allocated_to_projects": ALLOCATED,
            "consumption_last_month": _consumed_last_month,
            "withdrawable_balance": EARNED_SUM,
        },
        joins=(Join(Customer, Customer.id == CustomerCredit.customer_id),),
        conditions={
            **customer_conditions(),
            "query": contains_text(names_of(Customer), "query"),
        },
        orders={
            "id": CustomerCredit.id,
            "customer_name": collate(Customer.name, "C"),
            "value": CustomerCredit.value,
            "end_date": CustomerCredit.end_date,
            "expected_consumption": CustomerCredit.expected_consumption,
        },
        default_order=("id",),
        visible=lambda scope: visible_customers(CustomerCredit.customer_id, scope),
    ),
    visibility_of=visibility_with_months,
)
"""In the order of their creation. The minimal consumption and the withdrawable balance are to be
computed from the expected consumption and from the sum of the earned movements."""

_month = cast(func.make_date(billed_invoice.c.year, billed_invoice.c.month, 1), Date)
_consumption = (
    select(
        CustomerCredit.uuid.label("credit"),
        _month.label("date"),
        (-func.sum(billed_item.c.price)).label("price"),
    )
    .join(billed_item, billed_item.c.customer_credit_id == CustomerCredit.id)
    .join(billed_invoice, billed_invoice.c.id == billed_item.c.invoice_id)
    .where(IS_CHARGED)
    .group_by(CustomerCredit.id, _month)
    .subquery("consumption")
)
CONSUMPTIONS: Final = VisibleRows(
    RowList(
        table=_consumption,
        uuid=_consumption.c.credit,
        columns={"date": _consumption.c.date, "price": _consumption.c.price},
        joins=(Join(CustomerCredit, CustomerCredit.uuid == _consumption.c.credit),),
        conditions={"credit": equals(_consumption.c.credit, "credit")},
        orders={"date": _consumption.c.date},
        default_order=("date",),
        visible=lambda scope: visible_customers(CustomerCredit.customer_id, scope),
    )
)
"""The amounts that credits paid, by the month of the invoice. Read them of one `credit`."""
