"""The statements by which imports change invoices and items beyond writing their records.

The records themselves are written by `app.dataio.staging`: it copies the records of every kind to a
temporary table and merges that into the table of the kind, without knowing the kind.
"""

from collections.abc import Collection, Sequence
from decimal import Decimal
from typing import Final
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    and_,
    case,
    delete,
    exists,
    func,
    or_,
    select,
    text,
    tuple_,
    update,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from app.customers.models import Customer
from app.database.statements import equals_any
from app.invoices.models import Invoice, InvoiceItem
from app.invoices.states import END_MONTH, OPENED

IMPORT_IN_PROGRESS: Final = 0
"""The imported revision of a new invoice until the import that inserted it has ended. Revisions
begin at 1."""
HAS_ITEMS: Final = exists().where(InvoiceItem.invoice_id == Invoice.id)


async def finish_inserted_invoices(connection: AsyncConnection) -> None:
    """Mark the invoices that this import inserted as unchanged, and raise the number sequence.

    Runs once, after the items were written: they change the revisions of their invoices.
    """
    await connection.execute(
        update(Invoice)
        .where(Invoice.imported_revision == IMPORT_IN_PROGRESS)
        .values(imported_revision=Invoice.revision)
    )
    await connection.execute(text(_RAISE_NUMBERS))


async def mark_unchanged_since_import(
    connection: AsyncConnection, invoices: Collection[UUID]
) -> None:
    """Mark the invoices' current revisions as those of their source."""
    await connection.execute(
        update(Invoice)
        .where(
            Invoice.uuid.in_(invoices),
            Invoice.imported_revision.is_distinct_from(Invoice.revision),
        )
        .values(imported_revision=Invoice.revision)
    )


async def adopt_invoices(
    connection: AsyncConnection, invoice_ids: Sequence[int], source: str, tax_percent: Decimal
) -> None:
    """Make invoices that were created here, by no import, the source's; sets them to pending.

    An invoice with items keeps its tax percent. An invoice that was issued without items is
    pending again, under the same number.
    """
    await connection.execute(
        update(Invoice)
        .where(Invoice.id.in_(invoice_ids), Invoice.source.is_(None))
        .values(
            source=source,
            tax_percent=case((HAS_ITEMS, Invoice.tax_percent), else_=tax_percent),
            state=OPENED,
            invoice_date=None,
            due_date=None,
        )
    )


async def set_tax_percent(
    connection: AsyncConnection, invoice_ids: Sequence[int], tax_percent: Decimal
) -> None:
    """Set the tax percent of invoices."""
    await connection.execute(
        update(Invoice)
        .where(Invoice.id.in_(invoice_ids), Invoice.tax_percent != tax_percent)
        .values(tax_percent=tax_percent)
    )


async def delete_untouched_invoices(
    connection: AsyncConnection,
    months: Collection[tuple[UUID, int, int]],
    numbers: Collection[int | None],
) -> int:
    """Delete the invoices that only the close of the month has touched; return their number.

    Selects invoices of the given months (customer, year, month) or numbers that were created here
    and are pending at their first revision, or at their second one if the end of their month made
    it, and therefore have no items.
    """
    untouched = (
        select(Invoice.id)
        .join_from(Invoice, Customer)
        .where(
            Invoice.source.is_(None),
            or_(
                and_(Invoice.state == OPENED, Invoice.revision == 1),
                and_(Invoice.state == END_MONTH.to, Invoice.revision == 2),
            ),
            or_(
                tuple_(Customer.uuid, Invoice.year, Invoice.month).in_(months),
                Invoice.number.in_(numbers),
            ),
        )
    )
    return (await connection.execute(delete(Invoice).where(Invoice.id.in_(untouched)))).rowcount


async def delete_items(connection: AsyncConnection, uuids: Collection[UUID]) -> None:
    """Delete items."""
    await connection.execute(delete(InvoiceItem).where(equals_any(InvoiceItem.uuid, uuids)))


async def delete_items_except(
    connection: AsyncConnection, invoices: Collection[UUID], uuids: ColumnElement[UUID]
) -> int:
    """Delete the items of invoices that are not in a table of UUIDs; return their number."""
    # Not NOT IN, which PostgreSQL evaluates row by row once the list outgrows its memory.
    is_listed = exists().where(uuids == InvoiceItem.uuid)
    own = select(Invoice.id).where(Invoice.uuid.in_(invoices))
    statement = delete(InvoiceItem).where(InvoiceItem.invoice_id.in_(own), ~is_listed)
    return (await connection.execute(statement)).rowcount


_RAISE_NUMBERS: Final = """
SELECT setval('invoice_numbers', highest.number)
FROM invoice_numbers AS numbers, (SELECT max(number) AS number FROM invoices) AS highest
WHERE highest.number >= numbers.last_value + numbers.is_called::int
"""


async def widen_taxes(connection: AsyncConnection) -> None:
    """Let invoices have taxes of 100 % and more, if they cannot yet.

    Requests then wait for the end of the caller's transaction. After it, each connection of a
    running process may fail once.
    """
    await connection.execute(select(func.widen_taxes()))
