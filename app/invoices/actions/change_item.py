"""Change, delete, move and compensate single items of invoices.

Items change only on an invoice that was not issued. What is issued is corrected by a compensation
on a later invoice.
"""

from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from app import clock
from app.billing import money
from app.billing.currencies import Currency
from app.billing.enums import BillingType, InvoiceState
from app.billing.periods import Period
from app.billing.proration import charged_quantity
from app.domain_errors import InvalidField, UnknownReference
from app.invoices.errors import (
    ClosedTarget,
    IssuedInvoiceChange,
    ItemOfCredit,
    NegativeUnitPrice,
    OtherCustomer,
    SameInvoice,
    TotalTooLarge,
)
from app.invoices.models import TOTAL_LIMIT
from app.invoices.repository import items
from app.invoices.repository.items import LockedInvoice, LockedItem
from app.invoices.states import CHANGEABLE

_NEGATIVE: Final = "Ensure this value is greater than or equal to 0."
_REVERSED: Final = "The end must not be before the start."


@dataclass(frozen=True, slots=True)
class ChangeItem:
    """Set fields of an item; None keeps a field.

    The start and end of a fixed component determine its quantity; those of other components are
    kept. An item without a component takes every field.
    """

    item: UUID
    article_code: str | None = None
    unit_price: Decimal | None = None
    quantity: Decimal | None = None
    start: datetime | None = None
    end: datetime | None = None


@dataclass(frozen=True, slots=True)
class MoveItem:
    """Move an item to another invoice of the same customer."""

    item: UUID
    invoice: UUID


@dataclass(frozen=True, slots=True)
class CompensateItem:
    """Add the opposite of an item to the customer's invoice of the running month."""

    item: UUID
    component_name: str


@dataclass(frozen=True, slots=True)
class Compensation:
    """An item that compensates another one, and its invoice."""

    item: UUID
    invoice: UUID


async def require_changeable(connection: AsyncConnection, uuid: UUID) -> None:
    """Raise `IssuedInvoiceChange` or `ItemOfCredit` if the item does not change now.

    Nothing is locked: the actions check it again.
    """
    found = await items.find_changeability(connection, uuid)
    if found is not None:
        _check_changeable(*found)


async def change_item(
    connection: AsyncConnection, command: ChangeItem, currency: Currency
) -> LockedItem:
    """Change the item and return it.

    Raises `ItemNotFound`, `IssuedInvoiceChange`, `ItemOfCredit`, `InvalidField` and
    `TotalTooLarge`.
    """
    item = await _lock_changeable(connection, command.item)
    changes = changed_columns(item, command)
    amounts = (changes.get("unit_price", item.unit_price), changes.get("quantity", item.quantity))
    if amounts != (item.unit_price, item.quantity):
        check_total(item.invoice, money.item_price(*amounts, currency) - item.price)
    await items.update_item(connection, item.id, changes)
    return replace(item, **changes)


def changed_columns(item: LockedItem, command: ChangeItem) -> dict[str, Any]:
    """Return the columns that change, with their values; raises `InvalidField`."""
    given = {
        name: value
        for name in ("article_code", "unit_price", "quantity", "start", "end")
        if (value := getattr(command, name)) is not None
    }
    if item.billing_type is BillingType.FIXED:
        quantity = given.pop("quantity", None)
        if quantity is not None and quantity < 0:
            raise InvalidField("quantity", _NEGATIVE)
    elif item.billing_type is not None:
        given = {name: value for name, value in given.items() if name not in ("start", "end")}
    start, end = given.get("start", item.start), given.get("end", item.end)
    is_moved = (start, end) != (item.start, item.end)
    if is_moved and end < start:
        raise InvalidField("end", _REVERSED)
    if is_moved and item.billing_type is BillingType.FIXED:
        try:
            given["quantity"] = charged_quantity(item.unit, start, end)
        except ValueError as error:
            raise InvalidField("end", str(error)) from None
    return {name: value for name, value in given.items() if value != getattr(item, name)}


async def delete_item(connection: AsyncConnection, uuid: UUID) -> None:
    """Delete the item; raises `ItemNotFound`, `IssuedInvoiceChange` and `ItemOfCredit`."""
    item = await _lock_changeable(connection, uuid)
    await items.delete_item(connection, item.id)


async def move_item(connection: AsyncConnection, command: MoveItem) -> None:
    """Move the item.

    Raises `ItemNotFound`, `UnknownReference`, `SameInvoice`, `OtherCustomer`, `ClosedTarget`,
    `TotalTooLarge`, and what `delete_item` raises.
    """
    item, locked = await items.lock_item(connection, command.item, also=[command.invoice])
    _check_changeable(item.invoice.state, item.is_of_credit)
    target = locked.get(command.invoice)
    if target is None:
        raise UnknownReference("invoice")
    if target.id == item.invoice.id:
        raise SameInvoice
    if target.customer_id != item.invoice.customer_id:
        raise OtherCustomer
    check_open(target)
    check_total(target, item.price)
    await items.move_item(connection, item.id, target.id)


async def compensate_item(connection: AsyncConnection, command: CompensateItem) -> Compensation:
    """Add the compensation and return it. Each call adds another one.

    The item may be on an invoice of any state. Raises `ItemNotFound`, `NegativeUnitPrice`,
    `ClosedTarget` and `TotalTooLarge`.
    """
    item, _ = await items.lock_item(connection, command.item)
    if item.unit_price < 0:
        raise NegativeUnitPrice
    running = Period.containing(clock.today())
    customer_id = item.invoice.customer_id
    opened = await items.open_invoices_of_month(connection, [customer_id], running)
    target = opened[customer_id]
    check_open(target)
    check_total(target, -item.price)
    uuid = await items.insert_compensation(connection, item.id, target.id, command.component_name)
    return Compensation(uuid, target.uuid)


def check_open(invoice: LockedInvoice) -> None:
    """Raise `ClosedTarget` if no items can be added to the invoice."""
    if invoice.state not in CHANGEABLE:
        raise ClosedTarget(invoice.period, invoice.state)


def check_total(invoice: LockedInvoice, difference: Decimal) -> None:
    """Raise `TotalTooLarge` if the invoice cannot take the difference of a price."""
    if abs(money.EXACT.add(invoice.total_price, difference)) >= TOTAL_LIMIT:
        raise TotalTooLarge


async def _lock_changeable(connection: AsyncConnection, uuid: UUID) -> LockedItem:
    item, _ = await items.lock_item(connection, uuid)
    _check_changeable(item.invoice.state, item.is_of_credit)
    return item


def _check_changeable(state: InvoiceState, is_of_credit: bool) -> None:
    if state not in CHANGEABLE:
        raise IssuedInvoiceChange(state)
    if is_of_credit:
        raise ItemOfCredit
