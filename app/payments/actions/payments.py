"""Create, change and delete payments. `app.invoices` links them to invoices.

A payment is locked before its profile and its invoice. The file of a proof that no payment has any
more is removed by the sweep of proofs.
"""

from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from app.domain_errors import UnknownReference
from app.payments import repository
from app.payments.errors import NegativeSum, OrganizationFixed, PaymentNotFound
from app.payments.proofs import Proof
from app.payments.repository import LockedPayment, LockedProfile

_UNCHANGED: Final[Any] = object()


@dataclass(frozen=True, slots=True)
class CreatePayment:
    """Record a payment that is not linked to an invoice."""

    profile: UUID
    date_of_payment: date
    sum: Decimal = Decimal(0)
    proof: Proof | None = None


@dataclass(frozen=True, slots=True)
class UpdatePayment:
    """Change a payment; a field that is not given stays."""

    uuid: UUID
    profile: UUID = _UNCHANGED
    date_of_payment: date = _UNCHANGED
    sum: Decimal = _UNCHANGED
    proof: Proof | None = _UNCHANGED
    """None removes the proof."""


async def create_payment(connection: AsyncConnection, command: CreatePayment) -> UUID:
    """Record the payment and return its UUID; raises `UnknownReference` and `NegativeSum`.

    The profile must be active.
    """
    profile = await _active_profile(connection, command.profile)
    if command.sum < 0:
        raise NegativeSum
    values = {"date_of_payment": command.date_of_payment, "sum": command.sum}
    return await repository.add_payment(connection, profile.id, values, command.proof)


async def update_payment(connection: AsyncConnection, command: UpdatePayment) -> None:
    """Change the payment.

    A new profile must be active, and of the same organization if the payment is linked to an
    invoice. Raises `PaymentNotFound`, `UnknownReference`, `OrganizationFixed` and `NegativeSum`.
    """
    payment = await lock_payment(connection, command.uuid)
    values: dict[str, Any] = {}
    if command.profile is not _UNCHANGED:
        profile = await _active_profile(connection, command.profile)
        if payment.invoice_id is not None and profile.customer_id != payment.customer_id:
            raise OrganizationFixed("profile")
        values["profile_id"] = profile.id
    if command.sum is not _UNCHANGED:
        if command.sum < 0 and not await _may_be_negative(connection, payment):
            raise NegativeSum
        values["sum"] = command.sum
    if command.date_of_payment is not _UNCHANGED:
        values["date_of_payment"] = command.date_of_payment
    if command.proof is not _UNCHANGED:
        values |= repository.proof_columns(command.proof)
    await repository.update_payment(connection, payment.id, values)


async def delete_payment(connection: AsyncConnection, uuid: UUID) -> None:
    """Delete the payment; raises `PaymentNotFound`."""
    payment = await lock_payment(connection, uuid)
    await repository.delete_payment(connection, payment.id)


async def lock_payment(connection: AsyncConnection, uuid: UUID) -> LockedPayment:
    """Lock the payment; raises `PaymentNotFound`."""
    payment = await repository.lock_payment(connection, uuid)
    if payment is None:
        raise PaymentNotFound
    return payment


async def _active_profile(connection: AsyncConnection, uuid: UUID) -> LockedProfile:
    profile = await repository.lock_active_profile(connection, uuid)
    if profile is None:
        raise UnknownReference("profile")
    return profile


async def _may_be_negative(connection: AsyncConnection, payment: LockedPayment) -> bool:
    if payment.invoice_id is None:
        return False
    return await repository.invoice_total(connection, payment.invoice_id) < 0
