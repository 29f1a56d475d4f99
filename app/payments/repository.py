"""The statements about payments and payment profiles."""

from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import cast
from uuid import UUID, uuid4

from sqlalchemy import exists, insert, literal, select
from sqlalchemy.ext.asyncio import AsyncConnection

from app import clock
from app.payments.models import Payment, PaymentProfile
from app.payments.proofs import Proof


@dataclass(frozen=True, slots=True)
class NewPayment:
    """A payment of an invoice, to be recorded."""

    invoice_id: int
    customer_id: int
    date_of_payment: date
    sum: Decimal
    proof: Proof | None


async def record_payment(connection: AsyncConnection, payment: NewPayment) -> UUID | None:
    """Record a payment in the caller's transaction, with the customer's active payment profile.

    Return its UUID; None if the customer has no active profile.
    """
    proof = payment.proof
    values = {
        "uuid": uuid4(),
        "invoice_id": payment.invoice_id,
        "date_of_payment": payment.date_of_payment,
        "sum": payment.sum,
        "proof_key": proof and proof.key,
        "proof_name": proof and proof.name,
        "proof_media_type": proof and proof.media_type,
        "proof_size": proof and proof.size,
        "proof_sha256": proof and proof.sha256,
        "created_at": clock.now(),
    }
    columns = Payment.__table__.c
    profile = select(
        PaymentProfile.id, *(literal(value, columns[name].type) for name, value in values.items())
    ).where(PaymentProfile.customer_id == payment.customer_id, PaymentProfile.is_active)
    statement = insert(Payment).from_select(["profile_id", *values], profile)
    recorded = await connection.execute(statement.returning(Payment.uuid))
    return recorded.scalar_one_or_none()


async def has_proof(connection: AsyncConnection, key: str) -> bool:
    """Return whether a payment has the proof with this key."""
    statement = select(exists().where(Payment.proof_key == key))
    return (await connection.execute(statement)).scalar_one()


async def find_proof(connection: AsyncConnection, payment: UUID) -> Proof | None:
    """Return the proof of a payment; None if there is no such payment or it has no proof."""
    statement = select(
        Payment.proof_key,
        Payment.proof_name,
        Payment.proof_media_type,
        Payment.proof_size,
        Payment.proof_sha256,
    ).where(Payment.uuid == payment, Payment.proof_key.is_not(None))
    row = (await connection.execute(statement)).one_or_none()
    # The columns are nullable, but a constraint makes all of them null or none.
    return Proof(*cast(tuple[str, str, str, int, str], tuple(row))) if row else None
