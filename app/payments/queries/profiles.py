"""The list of payment profiles."""

from typing import Final

from sqlalchemy import ColumnElement, and_, collate, func

from app.customers.models import Customer
from app.database.filter_set import equals, is_any_of
from app.database.lists import Join, RowList
from app.identity.access import Scope, visible_customers
from app.identity.visible_rows import VisibleRows
from app.payments.models import PaymentProfile


def _visible(scope: Scope) -> ColumnElement[bool]:
    visible = visible_customers(PaymentProfile.customer_id, scope)
    return visible if scope is Scope.EVERYTHING else and_(visible, PaymentProfile.is_active)


_active_or_null = func.nullif(PaymentProfile.is_active, False)

PROFILES: Final = VisibleRows(
    RowList(
        table=PaymentProfile,
        uuid=PaymentProfile.uuid,
        columns={
            "uuid": PaymentProfile.uuid,
            "url": PaymentProfile.uuid,
            "name": PaymentProfile.name,
            "organization_uuid": Customer.uuid,
            "organization": Customer.uuid,
            "attributes": PaymentProfile.attributes,
            "payment_type": PaymentProfile.payment_type,
            "payment_type_display": PaymentProfile.payment_type,
            "is_active": _active_or_null,
        },
        joins=(Join(Customer, Customer.id == PaymentProfile.customer_id),),
        conditions={
            "is_active": equals(PaymentProfile.is_active, "is_active"),
            "organization": equals(Customer.uuid, "organization"),
            "organization_uuid": equals(Customer.uuid, "organization_uuid"),
            "payment_type": is_any_of(PaymentProfile.payment_type, "payment_type"),
        },
        orders={
            "id": PaymentProfile.id,
            "is_active": _active_or_null,
            "name": collate(PaymentProfile.name, "C"),
            "payment_type": PaymentProfile.payment_type,
        },
        default_order=("name", "id"),
        visible=_visible,
    )
)
"""By name. Callers without a global role see the active profiles only."""
