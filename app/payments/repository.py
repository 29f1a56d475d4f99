"""The statements about payments and the profiles that they are made with."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import cast as typed
from uuid import UUID, uuid4

from sqlalchemy import Integer, RowMapping, cast, exists, func, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from app import clock
from app.customers.models import Customer
from app.invoices.models import DatabaseCurrency, Invoice
from app.payments.models import Payment, PaymentProfile
from app.payments.proofs import Proof

_decimals = select(cast(DatabaseCurrency.decimals, Integer)).scalar_subquery()


@dataclass(frozen=True, slots=True)
class NewPayment:
    """A payment of an invoice that is to be recorded."""

    invoice_id: int
    profile_id: int
    date_of_payment: date
    sum: Decimal
    proof: Proof | None


async def active_profile(connection: AsyncConnection, customer_id: int) -> int | None:
    """Return the key of the customer's active payment profile, if there is one."""
    statement = select(PaymentProfile.id).where(
        PaymentProfile.customer_id == customer_id, PaymentProfile.is_active
    )
    return (await connection.execute(statement)).scalar_one_or_none()


async def record(connection: AsyncConnection, payment: NewPayment) -> UUID:
    """Record a payment in the caller's transaction; return its UUID."""
    proof = payment.proof
    values = {
        "uuid": uuid4(),
        "invoice_id": payment.invoice_id,
        "profile_id": payment.profile_id,
        "date_of_payment": payment.date_of_payment,
        "sum": payment.sum,
        "proof_key": proof and proof.key,
        "proof_name": proof and proof.name,
        "proof_media_type": proof and proof.media_type,
        "proof_size": proof and proof.size,
        "proof_sha256": proof and proof.sha256,
        "created_at": clock.now(),
    }
    statement = insert(Payment).values(values).returning(Payment.uuid)
    return (await connection.execute(statement)).scalar_one()


async def has_proof(connection: AsyncConnection, key: str) -> bool:
    """Tell whether a payment has the proof with this key."""
    statement = select(exists().where(Payment.proof_key == key))
    return (await connection.execute(statement)).scalar_one()


async def proof_of(connection: AsyncConnection, payment: UUID) -> Proof | None:
    """Return what is known of a payment's proof; None without payment or proof."""
    statement = select(
        Payment.proof_key,
        Payment.proof_name,
        Payment.proof_media_type,
        Payment.proof_size,
        Payment.proof_sha256,
    ).where(Payment.uuid == payment, Payment.proof_key.is_not(None))
    row = (await connection.execute(statement)).one_or_none()
    # The columns are nullable, but a constraint makes them all null or none.
    return Proof(*typed(tuple[str, str, str, int, str], tuple(row))) if row else None


async def listing(
    connection: AsyncConnection, *, customer: UUID | None = None, invoice: UUID | None = None
) -> Sequence[RowMapping]:
    """Return payments, newest first, of one customer or invoice where given."""
    statement = (
        select(
            Payment.uuid,
            Payment.date_of_payment,
            func.round(Payment.sum, _decimals).label("sum"),
            Customer.uuid.label("customer_uuid"),
            Customer.name.label("customer_name"),
            Invoice.uuid.label("invoice_uuid"),
            Invoice.number.label("invoice_number"),
            Payment.proof_name,
            Payment.proof_media_type,
            Payment.proof_size,
        )
        .join(PaymentProfile, PaymentProfile.id == Payment.profile_id)
        .join(Customer, Customer.id == PaymentProfile.customer_id)
        .outerjoin(Invoice, Invoice.id == Payment.invoice_id)
        .order_by(Payment.date_of_payment.desc(), Payment.id.desc())
    )
    if customer is not None:
        statement = statement.where(Customer.uuid == customer)
    if invoice is not None:
        statement = statement.where(Invoice.uuid == invoice)
    return (await connection.execute(statement)).mappings().all()
