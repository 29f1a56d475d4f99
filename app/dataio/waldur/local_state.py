"""What is here already and must not be overwritten or lost by what comes from Waldur."""

from collections.abc import Collection, Iterable, Sequence
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import delete, or_, select, tuple_, update
from sqlalchemy.ext.asyncio import AsyncConnection

from app import clock
from app.billing.currencies import Currency
from app.billing.enums import InvoiceState
from app.billing.money import item_price
from app.customers.models import Customer
from app.dataio import records
from app.dataio.registry import KIND_OF
from app.dataio.waldur.mapping import SOURCE, token_id
from app.identity.models import AccessSubnet, CustomerRole, Token, User
from app.invoices.models import Invoice, InvoiceItem
from app.payments.models import Payment

CHANGED_HERE = Invoice.imported_revision.is_distinct_from(Invoice.revision)
LARGEST_TOTAL = Decimal(10) ** 19
"""What an invoice's totals hold with certainty, tax and intermediate sums included."""


async def invoices_here(connection: AsyncConnection, uuids: Collection[UUID]) -> dict[UUID, bool]:
    """Return those of the invoices that are here, and whether they were changed here.

    They stay locked until the import has ended.
    """
    rows = await connection.execute(
        select(Invoice.uuid, CHANGED_HERE.label("changed"))
        .where(Invoice.uuid.in_(uuids))
        .order_by(Invoice.id)
        .with_for_update()
    )
    return {row.uuid: row.changed for row in rows}


async def conflicts(
    connection: AsyncConnection, invoices: Sequence[records.Invoice]
) -> dict[UUID, str]:
    """Tell which invoices would take another one's month or number."""
    months = {(each.customer, each.year, each.month): each.uuid for each in invoices}
    numbers = {each.number: each.uuid for each in invoices}
    rows = await connection.execute(
        select(Invoice.uuid, Invoice.number, Invoice.year, Invoice.month, Customer.uuid)
        .join_from(Invoice, Customer)
        .where(
            or_(
                tuple_(Customer.uuid, Invoice.year, Invoice.month).in_(list(months)),
                Invoice.number.in_(list(numbers)),
            )
        )
    )
    found: dict[UUID, str] = {}
    for uuid, number, year, month, customer in rows:
        same_month = months.get((customer, year, month), uuid)
        if same_month != uuid:
            found[same_month] = "the customer has another invoice for this month here"
        same_number = numbers.get(number, uuid)
        if same_number != uuid:
            found.setdefault(same_number, "another invoice has its number here")
    return found


async def make_room(connection: AsyncConnection, invoices: Sequence[records.Invoice]) -> int:
    """Delete what the month's close opened here in their place, and return how many those were.

    Such an invoice has the month or the number of one of these, was made here, and nothing has
    happened to it since: it is pending, at its first revision, and so without items. Where it is
    still due, the next close opens it again, under another number.
    """
    months = [(each.customer, each.year, each.month) for each in invoices]
    numbers = [each.number for each in invoices]
    in_the_way = (
        select(Invoice.id)
        .join_from(Invoice, Customer)
        .where(
            Invoice.source.is_(None),
            Invoice.state == InvoiceState.PENDING,
            Invoice.revision == 1,
            or_(
                tuple_(Customer.uuid, Invoice.year, Invoice.month).in_(months),
                Invoice.number.in_(numbers),
            ),
        )
    )
    return (await connection.execute(delete(Invoice).where(Invoice.id.in_(in_the_way)))).rowcount


async def held_items(
    connection: AsyncConnection, items: Iterable[records.InvoiceItem]
) -> set[UUID]:
    """Return which of the items are, here, on an invoice that was changed here."""
    uuids = [each.uuid for each in items]
    statement = (
        select(InvoiceItem.uuid)
        .join_from(InvoiceItem, Invoice)
        .where(InvoiceItem.uuid.in_(uuids), CHANGED_HERE)
    )
    return set(await connection.scalars(statement))


async def missing_references(
    connection: AsyncConnection, found: Sequence[records.Invoice | records.InvoiceItem]
) -> dict[UUID, str]:
    """Tell which of the records, all of one kind, name something that is not here.

    What belongs to the same invoice is left out of this: an item's invoice comes with it.
    """
    wrong: dict[UUID, str] = {}
    for reference in KIND_OF[type(found[0])].references if found else ():
        if reference.target is Invoice.__table__:
            continue
        named: dict[UUID | None, Any] = {getattr(each, reference.field): None for each in found}
        named.pop(None, None)
        if not named:
            continue
        uuid = reference.target.c.uuid
        there = set(await connection.scalars(select(uuid).where(uuid.in_(list(named)))))
        words = reference.field.replace("_", " ")
        for each in found:
            if getattr(each, reference.field) not in (None, *there):
                wrong[each.uuid] = f"its {words} was left out"
    return wrong


def too_large(items: Iterable[records.InvoiceItem], currency: Currency) -> bool:
    """Whether the sum of the items is more than an invoice can hold."""
    prices = (item_price(each.unit_price, each.quantity, currency) for each in items)
    return sum(map(abs, prices), Decimal(0)) >= LARGEST_TOTAL


async def payments_held(connection: AsyncConnection) -> set[UUID]:
    """Return the payments of invoices that were changed here."""
    statement = (
        select(Payment.uuid)
        .join_from(Payment, Invoice, Payment.invoice_id == Invoice.id)
        .where(CHANGED_HERE)
    )
    return set(await connection.scalars(statement))


async def vanished_invoices(connection: AsyncConnection, seen: Collection[UUID]) -> list[str]:
    """Return the invoices, by number, that came from Waldur and are no longer there."""
    rows = await connection.execute(
        select(Invoice.uuid, Invoice.number)
        .where(Invoice.source == SOURCE)
        .order_by(Invoice.number)
    )
    return [f"number {number}" for uuid, number in rows if uuid not in seen]


async def revoke_vanished_tokens(connection: AsyncConnection, seen: Collection[UUID]) -> int:
    """Revoke the tokens that came from Waldur and are no longer there; return how many."""
    rows = await connection.execute(
        select(Token.id, Token.uuid, User.uuid)
        .join_from(Token, User)
        .where(Token.revoked_at.is_(None))
    )
    gone = [key for key, uuid, user in rows if uuid == token_id(user) and uuid not in seen]
    if gone:
        await connection.execute(
            update(Token).values(revoked_at=clock.now()).where(Token.id.in_(gone))
        )
    return len(gone)


async def other_roles(
    connection: AsyncConnection, customers: Collection[UUID], seen: Collection[UUID]
) -> list[str]:
    """Return the active roles here, at customers that Waldur has, that it does not have."""
    rows = await connection.execute(
        select(CustomerRole.uuid, Customer.uuid)
        .join_from(CustomerRole, Customer)
        .where(CustomerRole.is_active)
    )
    return [str(uuid) for uuid, customer in rows if customer in customers and uuid not in seen]


async def other_subnets(
    connection: AsyncConnection, customers: Collection[UUID], seen: Collection[UUID]
) -> list[str]:
    """Return the networks here, of customers that Waldur has, that it does not have."""
    rows = await connection.execute(
        select(AccessSubnet.uuid, Customer.uuid).join_from(AccessSubnet, Customer)
    )
    return [str(uuid) for uuid, customer in rows if customer in customers and uuid not in seen]
