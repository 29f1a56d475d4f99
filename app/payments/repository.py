"""The statements about payments and payment profiles."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any, NamedTuple, cast
from uuid import UUID, uuid4

from sqlalchemy import and_, delete, exists, insert, literal, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from app import clock
from app.customers.models import Customer
from app.payments.models import Payment, PaymentProfile, paid_invoice
from app.payments.proofs import Proof


@dataclass(frozen=True, slots=True)
class NewPayment:
    """A payment of an invoice, to be recorded."""

    invoice_id: int
    customer_id: int
    date_of_payment: date
    sum: Decimal
    proof: Proof | None


class LockedProfile(NamedTuple):
    """A payment profile that is locked until the transaction ends."""

    id: int
    customer_id: int
    is_active: bool


class LockedPayment(NamedTuple):
    """A payment that is locked until the transaction ends."""

    id: int
    customer_id: int
    """Of its profile."""
    invoice_id: int | None
    sum: Decimal


def proof_columns(proof: Proof | None) -> dict[str, Any]:
    """Return the columns of a proof; None has no proof."""
    return {
        "proof_key": proof and proof.key,
        "proof_name": proof and proof.name,
        "proof_media_type": proof and proof.media_type,
        "proof_size": proof and proof.size,
        "proof_sha256": proof and proof.sha256,
    }


async def record_payment(connection: AsyncConnection, payment: NewPayment) -> UUID | None:
    """Record a payment in the caller's transaction, with the customer's active payment profile.

    Return its UUID; None if the customer has no active profile.
    """
    values = {
        "uuid": uuid4(),
        "invoice_id": payment.invoice_id,
        "date_of_payment": payment.date_of_payment,
        "sum": payment.sum,
        **proof_columns(payment.proof),
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


async def add_payment(
    connection: AsyncConnection, profile_id: int, values: Mapping[str, Any], proof: Proof | None
) -> UUID:
    """Add a payment without an invoice; return its UUID."""
    uuid = uuid4()
    row = {"uuid": uuid, "profile_id": profile_id, "created_at": clock.now(), **values}
    await connection.execute(insert(Payment).values(**row, **proof_columns(proof)))
    return uuid


async def lock_payment(connection: AsyncConnection, uuid: UUID) -> LockedPayment | None:
    """Lock a payment until the transaction ends; None if it does not exist."""
    statement = (
        select(Payment.id, PaymentProfile.customer_id, Payment.invoice_id, Payment.sum)
        .join(PaymentProfile, PaymentProfile.id == Payment.profile_id)
        .where(Payment.uuid == uuid)
        .with_for_update(of=Payment)
    )
    row = (await connection.execute(statement)).one_or_none()
    return row and LockedPayment(*row)


async def update_payment(
    connection: AsyncConnection, payment_id: int, values: Mapping[str, Any]
) -> None:
    """Set columns of a payment; none changes nothing."""
    if values:
        await connection.execute(update(Payment).where(Payment.id == payment_id).values(**values))


async def delete_payment(connection: AsyncConnection, payment_id: int) -> None:
    """Delete a payment."""
    await connection.execute(delete(Payment).where(Payment.id == payment_id))


async def invoice_total(connection: AsyncConnection, invoice_id: int) -> Decimal:
    """Return the total with tax of the invoice of a payment."""
    statement = select(paid_invoice.c.total_cost).where(paid_invoice.c.id == invoice_id)
    return Decimal((await connection.execute(statement)).scalar_one())


async def lock_organization(connection: AsyncConnection, uuid: UUID) -> int | None:
    """Lock a customer for changes of its profiles; return its key, or None if there is none."""
    statement = select(Customer.id).where(Customer.uuid == uuid).with_for_update(key_share=True)
    return (await connection.execute(statement)).scalar_one_or_none()


async def lock_organizations(connection: AsyncConnection, profile: UUID, other: UUID) -> int | None:
    """Lock the customer of a profile and another; return the other's key, or None.

    They are locked in the order of their keys, so that opposite moves do not wait for each other.
    """
    own = select(PaymentProfile.customer_id).where(PaymentProfile.uuid == profile)
    statement = (
        select(Customer.id, Customer.uuid)
        .where((Customer.id == own.scalar_subquery()) | (Customer.uuid == other))
        .order_by(Customer.id)
        .with_for_update(key_share=True)
    )
    keys = {uuid: key for key, uuid in await connection.execute(statement)}
    return keys.get(other)


async def lock_profile(
    connection: AsyncConnection, uuid: UUID, *, for_deletion: bool = False
) -> LockedProfile | None:
    """Lock a profile and its customer until the transaction ends; None if it does not exist.

    Payments may be recorded meanwhile, unless the profile is to be deleted.
    """
    of_profile = select(PaymentProfile.customer_id).where(PaymentProfile.uuid == uuid)
    customer = select(Customer.id).where(Customer.id == of_profile.scalar_subquery())
    await connection.execute(customer.with_for_update(key_share=True))
    statement = (
        select(PaymentProfile.id, PaymentProfile.customer_id, PaymentProfile.is_active)
        .where(PaymentProfile.uuid == uuid)
        .with_for_update(key_share=not for_deletion)
    )
    row = (await connection.execute(statement)).one_or_none()
    return row and LockedProfile(*row)


async def lock_active_profile(connection: AsyncConnection, uuid: UUID) -> LockedProfile | None:
    """Keep an active profile as it is until the transaction ends; None if it is not active."""
    statement = (
        select(PaymentProfile.id, PaymentProfile.customer_id, PaymentProfile.is_active)
        .where(PaymentProfile.uuid == uuid, PaymentProfile.is_active)
        .with_for_update(read=True)
    )
    row = (await connection.execute(statement)).one_or_none()
    return row and LockedProfile(*row)


async def add_profile(
    connection: AsyncConnection, customer_id: int, values: Mapping[str, Any]
) -> UUID:
    """Add a profile of a locked customer; return its UUID."""
    uuid = uuid4()
    row = {"uuid": uuid, "customer_id": customer_id, **values}
    await connection.execute(insert(PaymentProfile).values(**row))
    return uuid


async def update_profile(
    connection: AsyncConnection, profile_id: int, values: Mapping[str, Any]
) -> None:
    """Set columns of a profile; none changes nothing."""
    if values:
        statement = update(PaymentProfile).where(PaymentProfile.id == profile_id)
        await connection.execute(statement.values(**values))


async def deactivate_profiles(
    connection: AsyncConnection, customer_id: int, *, except_for: int | None = None
) -> None:
    """Make the profiles of a locked customer inactive, but for one."""
    others = PaymentProfile.id.is_distinct_from(except_for)
    active = and_(PaymentProfile.customer_id == customer_id, PaymentProfile.is_active, others)
    await connection.execute(update(PaymentProfile).where(active).values(is_active=False))


async def delete_profile(connection: AsyncConnection, profile_id: int) -> None:
    """Delete a profile without payments."""
    await connection.execute(delete(PaymentProfile).where(PaymentProfile.id == profile_id))


async def has_payments(
    connection: AsyncConnection, profile_id: int, *, linked: bool = False
) -> bool:
    """Return whether a profile has payments, or payments that are linked to an invoice."""
    of_profile = exists().where(Payment.profile_id == profile_id)
    if linked:
        of_profile = of_profile.where(Payment.invoice_id.is_not(None))
    return (await connection.execute(select(of_profile))).scalar_one()
