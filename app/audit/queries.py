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

from app.audit.models import AuditChange, AuditEntry, ChangeKind
from app.database.statements import AnySelect

MAX_CHANGES: Final = 100
"""Changes of each kind that are told of an entry; of more, only how many there are."""
_AT_ONCE: Final = 100
"""Rows that are in memory at a time."""

_ENTRY = (
    AuditEntry.id,
    AuditEntry.change,
    AuditEntry.sequence,
    AuditEntry.recorded_at,
    AuditEntry.operation,
    AuditEntry.user_uuid,
    AuditEntry.username,
    AuditEntry.token,
    AuditEntry.impersonator_uuid,
    AuditEntry.impersonator_username,
    AuditEntry.comment,
    # As text: the reader decides how numbers are read.
    cast(AuditEntry.data, Text).label("data"),
)


@dataclass(frozen=True, slots=True)
class TimeRange:
    """Which entries are meant: those recorded between two moments, both included."""

    after: datetime | None = None
    before: datetime | None = None

    def conditions(self, invoice: UUID) -> list[ColumnElement[bool]]:
        """Return what entries of the invoice must fulfil."""
        conditions = [AuditEntry.invoice_uuid == invoice]
        if self.after is not None:
            conditions.append(AuditEntry.recorded_at >= self.after)
        if self.before is not None:
            conditions.append(AuditEntry.recorded_at <= self.before)
        return conditions


async def count_entries(connection: AsyncConnection, invoice: UUID, span: TimeRange) -> int:
    """Return how many entries there are."""
    statement = select(func.count()).select_from(AuditEntry).where(*span.conditions(invoice))
    return (await connection.execute(statement)).scalar_one()


async def list_entries(
    connection: AsyncConnection, invoice: UUID, span: TimeRange, *, limit: int = 1, offset: int = 0
) -> Sequence[RowMapping]:
    """Return entries of an invoice, the newest first."""
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
    """Yield what some entries changed, entry by entry in the order of `of`.

    Of each kind up to `MAX_CHANGES`, but all of the invoice itself. Rows have `change`, `kind`,
    `subject`, `was` and `became` as JSON texts, and `of_kind`, the number of all of the kind.
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
    """Tell whether the entries up to this one tell of all that belongs to the invoice."""
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
    """Yield what belonged to the invoice when the entry was made, in the order of names.

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
    found = await connection.stream(statement, execution_options={"yield_per": _AT_ONCE})
    async for rows in found.partitions():
        for row in rows:
            yield row
