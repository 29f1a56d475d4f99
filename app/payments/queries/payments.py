"""The list of payments, and the proof of one."""

from dataclasses import replace
from typing import Final
from uuid import UUID

from sqlalchemy import Text, Uuid, case, cast, func, literal
from sqlalchemy.ext.asyncio import AsyncConnection

from app.customers.models import Customer
from app.database.filter_set import FilterSet, equals
from app.database.lists import Join, RowList, RowQuery
from app.formats import NIL_UUID
from app.identity.access import visible_customers
from app.identity.caller import Caller
from app.identity.visible_rows import VisibleRows, count_of_all
from app.payments.models import Payment, PaymentProfile, paid_invoice
from app.payments.proofs import Proof

_month = func.lpad(cast(paid_invoice.c.month, Text), 2, "0")
_year = func.lpad(cast(paid_invoice.c.year, Text), 4, "0")

PAYMENTS: Final = VisibleRows(
    RowList(
        table=Payment,
        uuid=Payment.uuid,
        columns={
            "uuid": Payment.uuid,
            "url": Payment.uuid,
            "profile": PaymentProfile.uuid,
            "date_of_payment": Payment.date_of_payment,
            "sum": Payment.sum,
            "proof": case((Payment.proof_key.is_not(None), Payment.uuid)),
            "invoice": paid_invoice.c.uuid,
            "invoice_uuid": func.coalesce(paid_invoice.c.uuid, literal(NIL_UUID, Uuid)),
            "invoice_period": _month + "-" + _year,
            "customer_uuid": Customer.uuid,
        },
        joins=(
            Join(PaymentProfile, PaymentProfile.id == Payment.profile_id),
            Join(Customer, Customer.id == PaymentProfile.customer_id),
            Join(paid_invoice, paid_invoice.c.id == Payment.invoice_id, optional=True),
        ),
        conditions={
            "date_of_payment": equals(Payment.date_of_payment, "date_of_payment"),
            "profile": equals(PaymentProfile.uuid, "profile"),
            "profile_uuid": equals(PaymentProfile.uuid, "profile_uuid"),
        },
        orders={"id": Payment.id},
        default_order=("id",),
        visible=lambda scope: visible_customers(PaymentProfile.customer_id, scope),
        known_count=count_of_all(Payment),
    )
)
"""In the order of their creation."""

_PROOFS: Final = VisibleRows(
    replace(
        PAYMENTS.rows,
        columns={
            "proof": (
                Payment.proof_key,
                Payment.proof_name,
                Payment.proof_media_type,
                Payment.proof_size,
                Payment.proof_sha256,
            )
        },
        conditions={"has_proof": Payment.proof_key.is_not(None)},
    )
)


async def find_visible_proof(
    connection: AsyncConnection, caller: Caller, payment: UUID
) -> Proof | None:
    """Return the proof of a payment; None if the caller may not see one."""
    query = RowQuery(payment, _PROOFS.fields, FilterSet(("has_proof",)))
    row = await _PROOFS.read_one(connection, caller, query)
    return Proof(*row.values()) if row else None
