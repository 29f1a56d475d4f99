"""The statements about payments and payment profiles."""

from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import cast
from uuid import UUID, uuid4

from sqlalchemy import exists, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from app import clock
from app.payments.models import Payment, PaymentProfile
from app.payments.proofs import Proof


@dataclass(frozen=True, slots=True)
class NewPayment:
    """A payment of an invoice, to be recorded."""

    invoice_id: int
    profile_id: int
    date_of_payment: date
    sum: Decimal
    proof: Proof | None


async def find_active_profile(connection: AsyncConnection, customer_id: int) -> int | None:
    """Return the id of the customer's active payment profile, or None."""
    statement = select(PaymentProfile.id).where(
        PaymentProfile.customer_id == customer_id, PaymentProfile.is_active
    )
    return (await connection.execute(statement)).scalar_one_or_none()


async def record_payment(connection: AsyncConnection, payment: NewPayment) -> UUID:
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
