"""Queries of the audit record of one invoice."""

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

from app.audit.models import AuditChange, AuditEntry, ChangeKind
from app.database.statements import AnySelect

MAX_CHANGES: Final = 100
"""Changes of each kind returned for an entry; of further ones only the number is known."""
_BATCH: Final = 100
"""Rows in memory at a time."""

_ENTRY = (
    *(column for column in AuditEntry.__table__.c if column.name != "data"),
    # As text, so that the caller decides how to parse numbers.
    cast(AuditEntry.data, Text).label("data"),
)


@dataclass(frozen=True, slots=True)
class TimeRange:
    """A range of recording times, with both ends included."""

    after: datetime | None = None
    before: datetime | None = None

    def conditions(self, invoice: UUID) -> list[ColumnElement[bool]]:
        """Return the conditions for the invoice's entries in the range."""
        conditions = [AuditEntry.invoice_uuid == invoice]
        if self.after is not None:
            conditions.append(AuditEntry.recorded_at >= self.after)
        if self.before is not None:
            conditions.append(AuditEntry.recorded_at <= self.before)
        return conditions


async def count_entries(connection: AsyncConnection, invoice: UUID, span: TimeRange) -> int:
    """Return the number of entries."""
    statement = select(func.count()).select_from(AuditEntry).where(*span.conditions(invoice))
    return (await connection.execute(statement)).scalar_one()


async def list_entries(
    connection: AsyncConnection, invoice: UUID, span: TimeRange, *, limit: int = 1, offset: int = 0
) -> Sequence[RowMapping]:
    """Return entries of an invoice, newest first."""
    statement = (
        select(*_ENTRY)
        .where(*span.conditions(invoice))
        .order_by(AuditEntry.sequence.desc())
        .limit(limit)
        .offset(offset)
    )
    return (await connection.execute(statement)).mappings().all()


async def list_changes(
    connection: AsyncConnection, invoice: UUID, of: Sequence[UUID]
) -> AsyncGenerator[Row[*tuple[Any, ...]], None]:
    """Yield the changes of some entries, entry by entry in the order of `of`.

    All changes of the invoice's row are included, and up to `MAX_CHANGES` of each other kind. Rows
    have `change`, `kind`, `subject`, `was` and `became` as JSON texts, and `of_kind`, the total of
    the kind.
    """
    kinds = AuditChange.change, AuditChange.kind
    numbered = (
        select(
            AuditChange.id,
            func.row_number().over(partition_by=kinds, order_by=AuditChange.id).label("place"),
            func.count().over(partition_by=kinds).label("of_kind"),
        )
        .where(AuditChange.change.in_(of), AuditChange.invoice_uuid == invoice)
        .subquery()
    )
    statement = (
        select(*_CHANGE, AuditChange.change, numbered.c.of_kind)
        .join(numbered, numbered.c.id == AuditChange.id)
        .where(or_(numbered.c.place <= MAX_CHANGES, AuditChange.kind == ChangeKind.INVOICE))
        .order_by(func.array_position(list(of), AuditChange.change), AuditChange.id)
    )
    async for row in _streamed(connection, statement):
        yield row


_CHANGE = (
    AuditChange.kind,
    AuditChange.subject,
    cast(AuditChange.was, Text).label("was"),
    cast(AuditChange.became, Text).label("became"),
)


async def is_complete(connection: AsyncConnection, invoice: UUID, sequence: int) -> bool:
    """Return whether the record up to this entry starts with the creation or the whole state."""
    statement = select(
        select(AuditChange.id)
        .join(AuditEntry, _of_entry)
        .where(
            *_up_to(invoice, sequence),
            AuditChange.kind == ChangeKind.INVOICE,
            AuditChange.was.is_(None),
        )
        .exists()
    )
    return (await connection.execute(statement)).scalar_one()


async def rows_as_of(
    connection: AsyncConnection, invoice: UUID, sequence: int, kind: ChangeKind
) -> AsyncGenerator[Row[*tuple[Any, ...]], None]:
    """Yield the items or payments of the invoice as of an entry, in the order of names.

    Rows have `subject`, and `became` as JSON text.
    """
    latest = (
        select(AuditChange.subject, AuditChange.became, AuditChange.id)
        .ext(distinct_on(AuditChange.subject))
        .join(AuditEntry, _of_entry)
        .where(*_up_to(invoice, sequence), AuditChange.kind == kind)
        .order_by(AuditChange.subject, AuditChange.id.desc())
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


_of_entry = and_(
    AuditEntry.change == AuditChange.change, AuditEntry.invoice_uuid == AuditChange.invoice_uuid
)


def _up_to(invoice: UUID, sequence: int) -> list[ColumnElement[bool]]:
    return [AuditEntry.invoice_uuid == invoice, AuditEntry.sequence <= bindparam(None, sequence)]


async def _streamed(
    connection: AsyncConnection, statement: AnySelect
) -> AsyncGenerator[Row[*tuple[Any, ...]], None]:
    found = await connection.stream(statement, execution_options={"yield_per": _BATCH})
    async for rows in found.partitions():
        for row in rows:
            yield row
