"""Credit an issued invoice: give back all or a part of it by a credit note."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from uuid import UUID, uuid4

from sqlalchemy.ext.asyncio import AsyncConnection

from app import clock
from app.billing.crediting import (
    CreditedLine,
    InvalidPart,
    InvoiceRest,
    ItemRest,
    MoreThanLeft,
    credit_price,
    credit_quantity,
    credit_whole,
    credited_gross,
)
from app.billing.currencies import Currency
from app.billing.enums import ImportSource, InvoiceState
from app.credit_notes import repository
from app.credit_notes.actions.notify import notify_if_due
from app.credit_notes.errors import (
    InvalidItemPart,
    ItemExceeded,
    NothingLeft,
    RepeatedItem,
    TotalExceeded,
    UnknownItem,
)
from app.invoices.actions.apply_compensations import give_back_credits, lock_credits
from app.invoices.actions.freeze import freeze
from app.invoices.errors import WrongInvoiceState
from app.invoices.states import CANCEL, CREDITABLE, PAY
from app.settings import Settings


@dataclass(frozen=True, slots=True)
class CreditItem:
    """A part of an item to give back; the rest of it without a quantity and a price."""

    item: UUID
    quantity: Decimal | None = None
    price: Decimal | None = None
    """Without tax. A quantity and a price exclude each other."""


@dataclass(frozen=True, slots=True)
class CreditInvoice:
    """Give back all that is left of an issued invoice, or parts of its items."""

    invoice_id: int
    reason: str
    """Not blank."""
    items: Sequence[CreditItem] | None = None
    """None for all that is left."""
    source: ImportSource | None = None
    """The import that restated the bill of the invoice; None for every other reason."""


async def credit(connection: AsyncConnection, command: CreditInvoice, settings: Settings) -> UUID:
    """Make a credit note of an issued invoice; return its UUID.

    A created invoice becomes canceled if nothing is left of its items, and paid if nothing is left
    to be paid. The amounts that the invoice took from credits of the customer are given back once
    nothing is left of its items. With NOTIFY_ON_ISSUE the customer is notified, if the service
    notifies it of its invoices.

    Raises `WrongInvoiceState` unless the invoice is created or paid, `NothingLeft`, `ItemExceeded`
    and `TotalExceeded` for more than earlier credit notes have left, `UnknownItem`, `RepeatedItem`
    and `InvalidItemPart`.
    """
    await lock_credits(connection, command.invoice_id)
    invoice = await repository.lock_invoice(connection, command.invoice_id)
    if invoice.state not in CREDITABLE:
        raise WrongInvoiceState(CREDITABLE)
    if invoice.document_version is None:
        await freeze(connection, [command.invoice_id], settings)
    rests = await repository.find_rests(connection, command.invoice_id)
    if not rests:
        raise NothingLeft
    lines = _lines(rests, command.items, settings.currency)
    net = sum((line.price for line in lines), Decimal(0))
    left = InvoiceRest(invoice.net - invoice.credited_net, invoice.gross - invoice.credited_gross)
    try:
        gross = credited_gross(net, left, invoice.tax_percent, settings.currency)
    except MoreThanLeft:
        raise TotalExceeded from None
    note = repository.NewCreditNote(
        command.invoice_id,
        uuid4(),
        clock.today(),
        command.reason,
        net,
        gross,
        invoice.state == InvoiceState.PAID,
        lines,
        command.source,
    )
    await repository.insert_credit_note(connection, note)
    is_whole = _is_whole(rests, lines)
    if is_whole:
        await give_back_credits(connection, command.invoice_id, CREDITABLE)
    if invoice.state in PAY.valid:
        if is_whole:
            await repository.set_state(connection, command.invoice_id, CANCEL.to, command.reason)
        elif gross == left.gross:
            await repository.set_state(connection, command.invoice_id, PAY.to)
    if settings.notify_on_issue:
        await notify_if_due(connection, note.uuid, settings)
    return note.uuid


def _lines(
    rests: Sequence[ItemRest], items: Sequence[CreditItem] | None, currency: Currency
) -> Sequence[CreditedLine]:
    """Return the lines of a credit note."""
    if items is None:
        return [credit_whole(rest, currency) for rest in rests]
    by_item = {rest.item: rest for rest in rests}
    lines: dict[UUID, CreditedLine] = {}
    for part in items:
        if part.item in lines:
            raise RepeatedItem(part.item)
        if part.item not in by_item:
            raise UnknownItem(part.item)
        lines[part.item] = _line(by_item[part.item], part, currency)
    return list(lines.values())


def _line(rest: ItemRest, part: CreditItem, currency: Currency) -> CreditedLine:
    try:
        if part.quantity is not None:
            return credit_quantity(rest, part.quantity, currency)
        if part.price is not None:
            return credit_price(rest, part.price, currency)
    except InvalidPart:
        raise InvalidItemPart(rest.item) from None
    except MoreThanLeft:
        raise ItemExceeded(rest.item) from None
    return credit_whole(rest, currency)


def _is_whole(rests: Sequence[ItemRest], lines: Sequence[CreditedLine]) -> bool:
    """Return whether nothing is left of any item."""
    credited = {line.item: line.price for line in lines}
    return all(credited.get(rest.item) == rest.price for rest in rests)
