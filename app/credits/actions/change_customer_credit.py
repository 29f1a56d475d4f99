"""Create and change the credit of a customer, as staff do."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from app import clock
from app.billing.compensation import withdrawable_balance
from app.billing.enums import CreditTransactionType
from app.credits.actions.credit_terms import NEW, change_terms, stored_values
from app.credits.errors import (
    CreditExists,
    CreditNotFound,
    CreditPays,
    ProjectsExceedCredit,
)
from app.credits.repository import ledger, records
from app.credits.repository.ledger import CustomerCredits, Movement
from app.domain_errors import InvalidField, UnknownReference


@dataclass(frozen=True, slots=True)
class CreateCustomerCredit:
    """Give a customer a credit."""

    values: Mapping[str, Any]
    """By the fields of the request; `customer` and `offerings` are UUIDs."""


@dataclass(frozen=True, slots=True)
class UpdateCustomerCredit:
    """Change fields of a customer's credit."""

    uuid: UUID
    values: Mapping[str, Any]
    """As in `CreateCustomerCredit`; a new `customer` takes the credit over."""


@dataclass(frozen=True, slots=True)
class AdjustWithdrawable:
    """Change the withdrawable part of a customer's credit, and so its value."""

    uuid: UUID
    amount: Decimal
    """Positive if the value rises."""
    comment: str


async def create_customer_credit(
    connection: AsyncConnection, command: CreateCustomerCredit
) -> UUID:
    """Create the credit and return its UUID.

    The value is a movement of the ledger. Raises `InvalidField` if a rule forbids a value,
    `UnknownReference`, and `CreditExists`.
    """
    customer_id = await _lock_customer(connection, command.values["customer"])
    terms = change_terms(NEW, command.values, clock.today())
    if not await records.add_credit(connection, customer_id, stored_values(terms)):
        raise CreditExists("customer")
    credits = await _lock(connection, customer_id)
    await _set_offerings(connection, credits, command.values)
    await _grant(connection, credits, terms.value)
    return credits.credit.uuid


async def update_customer_credit(
    connection: AsyncConnection, command: UpdateCustomerCredit
) -> None:
    """Change the credit; a change of the value is a movement of the ledger.

    Raises `InvalidField` if a rule forbids a value, `UnknownReference`, `CreditExists`,
    `ProjectsExceedCredit`, `CreditPays` if the credit would leave an invoice that it pays, and
    `CreditNotFound`.
    """
    values = dict(command.values)
    credits = await lock_customer_credit(connection, command.uuid)
    customer = values.pop("customer", credits.credit.customer_uuid)
    if customer != credits.credit.customer_uuid:
        credits = await _move_to(connection, credits, customer)
    terms = change_terms(credits.credit.terms, values, clock.today())
    _require_cover(credits, terms.value)
    await ledger.set_columns(connection, credits.credit, stored_values(terms))
    await _set_offerings(connection, credits, values)
    await _grant(connection, credits, terms.value - credits.credit.terms.value)


async def adjust_withdrawable(connection: AsyncConnection, command: AdjustWithdrawable) -> None:
    """Change the value by an amount that counts as earned, and record the comment.

    Raises `InvalidField` if the amount is zero or more than the withdrawable balance,
    `BalanceTooLarge`, `ProjectsExceedCredit`, and `CreditNotFound`.
    """
    credits = await lock_customer_credit(connection, command.uuid)
    value = credits.credit.terms.value
    if not command.amount:
        raise InvalidField("amount", "The amount must not be zero.")
    earned = await ledger.sum_earned(connection, credits.credit)
    if -command.amount > withdrawable_balance(earned, value):
        raise InvalidField("amount", "The amount exceeds the withdrawable balance.")
    _require_cover(credits, value + command.amount)
    movement = Movement(
        credits.credit,
        command.amount,
        CreditTransactionType.WITHDRAWABLE_ADJUSTMENT,
        command.comment,
    )
    await ledger.move(connection, [movement])


async def lock_customer_credit(connection: AsyncConnection, uuid: UUID) -> CustomerCredits:
    """Lock the credits of the customer who has this credit; raises `CreditNotFound`."""
    customer_id = await records.find_owner(connection, uuid)
    credits = None
    if customer_id is not None:
        credits = await ledger.lock_credits(connection, customer_id)
    if credits is None or credits.credit.uuid != uuid:
        raise CreditNotFound("CustomerCredit")
    return credits


async def _lock(connection: AsyncConnection, customer_id: int) -> CustomerCredits:
    """Lock the credits of a locked customer alone: credits are locked before other customers."""
    credits = await ledger.lock_credits(connection, customer_id, with_affiliates=False)
    if credits is None:
        raise CreditNotFound("CustomerCredit")
    return credits


async def _lock_customer(connection: AsyncConnection, uuid: UUID) -> int:
    customer_id = await records.lock_customer(connection, uuid)
    if customer_id is None:
        raise UnknownReference("customer")
    return customer_id


async def _move_to(
    connection: AsyncConnection, credits: CustomerCredits, customer: UUID
) -> CustomerCredits:
    """Give a credit to another customer; the ledger has a transfer from the one to the other."""
    if any(each.terms.value for each in credits.project_credits):
        raise ProjectsExceedCredit
    if await records.pays_unissued_invoice(connection, credits.credit):
        raise CreditPays
    customer_id = await _lock_customer(connection, customer)
    value = credits.credit.terms.value
    out = Movement(credits.credit, -value, CreditTransactionType.ADJUSTMENT)
    await ledger.move(connection, [out])
    if not await records.set_customer(connection, credits.credit, customer_id):
        raise CreditExists("customer")
    moved = await _lock(connection, customer_id)
    into = Movement(moved.credit, value, CreditTransactionType.ADJUSTMENT)
    await ledger.move(connection, [into])
    return await _lock(connection, customer_id)


async def _set_offerings(
    connection: AsyncConnection, credits: CustomerCredits, values: Mapping[str, Any]
) -> None:
    offerings: Sequence[UUID] | None = values.get("offerings")
    if offerings is not None and not await records.set_offerings(
        connection, credits.credit, offerings
    ):
        raise UnknownReference("offerings")


async def _grant(connection: AsyncConnection, credits: CustomerCredits, amount: Decimal) -> None:
    movement = Movement(credits.credit, amount, CreditTransactionType.STAFF_GRANT)
    await ledger.move(connection, [movement])


def _require_cover(credits: CustomerCredits, value: Decimal) -> None:
    """Raise `ProjectsExceedCredit` if a lower value would not cover the credits of projects."""
    shares = sum((each.terms.value for each in credits.project_credits), Decimal(0))
    if value < shares and value < credits.credit.terms.value:
        raise ProjectsExceedCredit
