"""Reading what was recorded of an invoice."""

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    Row,
    RowMapping,
    Text,
    and_,
    bindparam,
    cast,
    collate,
    func,
    or_,
    select,
)
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.ext.asyncio import AsyncConnection

from app.audit.models import Change, ChangeKind, Entry
from app.database.statements import AnySelect

MOST_CHANGES: Final = 100
"""Changes of each kind that are told of an entry; of more, only how many there are."""
_AT_ONCE: Final = 100
"""Rows that are in memory at a time."""

_ENTRY = (
    Entry.id,
    Entry.change,
    Entry.sequence,
    Entry.recorded_at,
    Entry.operation,
    Entry.user_uuid,
    Entry.username,
    Entry.token,
    Entry.impersonator_uuid,
    Entry.impersonator_username,
    Entry.comment,
    # As text: the reader decides how numbers are read.
    cast(Entry.data, Text).label("data"),
)


@dataclass(frozen=True, slots=True)
class Span:
    """Which entries are meant: those recorded between two moments, both included."""

    after: datetime | None = None
    before: datetime | None = None

    def conditions(self, invoice: UUID) -> list[ColumnElement[bool]]:
        """Return what entries of the invoice must fulfil."""
        conditions = [Entry.invoice_uuid == invoice]
        if self.after is not None:
            conditions.append(Entry.recorded_at >= self.after)
        if self.before is not None:
            conditions.append(Entry.recorded_at <= self.before)
        return conditions


async def count(connection: AsyncConnection, invoice: UUID, span: Span) -> int:
    """Return how many entries there are."""
    statement = select(func.count()).select_from(Entry).where(*span.conditions(invoice))
    return (await connection.execute(statement)).scalar_one()


async def newest(
    connection: AsyncConnection, invoice: UUID, span: Span, *, limit: int = 1, offset: int = 0
) -> Sequence[RowMapping]:
    """Return entries of an invoice, the newest first."""
    statement = (
        select(*_ENTRY)
        .where(*span.conditions(invoice))
        .order_by(Entry.sequence.desc())
        .limit(limit)
        .offset(offset)
    )
    return (await connection.execute(statement)).mappings().all()


async def changes(
    connection: AsyncConnection, invoice: UUID, of: Sequence[UUID]
) -> AsyncGenerator[Row[*tuple[Any, ...]], None]:
    """Yield what some entries changed, entry by entry in the order of `of`.

    Of each kind up to `MOST_CHANGES`, but all of the invoice itself. Rows have `change`, `kind`,
    `subject`, `was` and `became` as JSON texts, and `of_kind`, the number of all of the kind.
    """
    kinds = Change.change, Change.kind
    numbered = (
        select(
            Change.id,
            func.row_number().over(partition_by=kinds, order_by=Change.id).label("place"),
            func.count().over(partition_by=kinds).label("of_kind"),
        )
        .where(Change.change.in_(of), Change.invoice_uuid == invoice)
        .subquery()
    )
    statement = (
        select(*_CHANGE, Change.change, numbered.c.of_kind)
        .join(numbered, numbered.c.id == Change.id)
        .where(or_(numbered.c.place <= MOST_CHANGES, Change.kind == ChangeKind.INVOICE))
        .order_by(func.array_position(list(of), Change.change), Change.id)
    )
    async for row in _streamed(connection, statement):
        yield row


_CHANGE = (
    Change.kind,
    Change.subject,
    cast(Change.was, Text).label("was"),
    cast(Change.became, Text).label("became"),
)


async def is_whole(connection: AsyncConnection, invoice: UUID, sequence: int) -> bool:
    """Tell whether the entries up to this one tell of all that belongs to the invoice."""
    statement = select(
        select(Change.id)
        .join(Entry, _of_entry)
        .where(*_up_to(invoice, sequence), Change.kind == ChangeKind.INVOICE, Change.was.is_(None))
        .exists()
    )
    return (await connection.execute(statement)).scalar_one()


async def as_of(
    connection: AsyncConnection, invoice: UUID, sequence: int, kind: ChangeKind
) -> AsyncGenerator[Row[*tuple[Any, ...]], None]:
    """Yield what belonged to the invoice when the entry was made, in the order of names.

    Rows have `subject`, and `became` as JSON text.
    """
    latest = (
        select(Change.subject, Change.became, Change.id)
        .ext(distinct_on(Change.subject))
        .join(Entry, _of_entry)
        .where(*_up_to(invoice, sequence), Change.kind == kind)
        .order_by(Change.subject, Change.id.desc())
        .subquery()
    )
    became = latest.c.became
    statement = (
        select(latest.c.subject, cast(became, Text).label("became"))
        .where(became.is_not(None))
        .order_by(
            collate(became["project_name"].astext, "C"),
            collate(became["name"].astext, "C"),
            latest.c.id,
        )
    )
    async for row in _streamed(connection, statement):
        yield row


_of_entry = and_(Entry.change == Change.change, Entry.invoice_uuid == Change.invoice_uuid)


def _up_to(invoice: UUID, sequence: int) -> list[ColumnElement[bool]]:
    return [Entry.invoice_uuid == invoice, Entry.sequence <= bindparam(None, sequence)]


async def _streamed(
    connection: AsyncConnection, statement: AnySelect
) -> AsyncGenerator[Row[*tuple[Any, ...]], None]:
    found = await connection.stream(statement, execution_options={"yield_per": _AT_ONCE})
    async for rows in found.partitions():
        for row in rows:
            yield row
