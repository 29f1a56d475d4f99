"""Writes records in batches: COPY to a temporary table, then INSERT and UPDATE as sets.

A row that is equal to its record is not updated, so that a repeated import changes nothing, not
even a revision. The temporary tables are dropped at the end of the transaction.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

from sqlalchemy import (
    CTE,
    BigInteger,
    Boolean,
    Column,
    Insert,
    Integer,
    MetaData,
    Select,
    Subquery,
    Table,
    Update,
    Uuid,
    and_,
    case,
    cast,
    delete,
    false,
    func,
    insert,
    or_,
    select,
    text,
    true,
    tuple_,
    update,
)
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.schema import CreateTable
from sqlalchemy.sql.elements import ColumnElement

from app.dataio.copy_rows import copy_rows
from app.dataio.records import InvoiceItemRecord, InvoiceRecord, PaymentRecord, Record, TokenRecord
from app.dataio.registry import RecordKind, Reference
from app.invoices.models import DatabaseCurrency, invoice_numbers
from app.invoices.repository.imports import IMPORT_IN_PROGRESS

_decimals: Final = cast(DatabaseCurrency.decimals, Integer)


def _price(stage: Table) -> ColumnElement[Any]:
    """Return the price of a staged item: the record's, or else the product."""
    product = func.item_price(stage.c.unit_price, stage.c.quantity, _decimals)
    return func.coalesce(func.round(stage.c.price, _decimals), product)


_ROUNDED_COLUMNS: Final[dict[type[Record], dict[str, Callable[[Table], ColumnElement[Any]]]]] = {
    InvoiceItemRecord: {"price": _price},
    PaymentRecord: {"sum": lambda stage: func.round(stage.c.sum, _decimals)},
}
"""The columns that are stored with as many decimals as the currency has, by kind."""


@dataclass
class BatchResult:
    """The result of one batch."""

    created: int
    existing: int
    """The number of rows that existed before the batch."""
    updated: list[int]
    """The lines whose existing rows were updated."""
    rejected: dict[int, str]
    """The reasons for rejection, by line."""
    missing_references: dict[int, str]
    """The field that names a record that does not exist, by rejected line."""


class StagingTable:
    """The temporary tables and the statements of one kind, the same in every transaction."""

    def __init__(self, kind: RecordKind) -> None:
        self.kind = kind
        metadata = MetaData()
        temporary: dict[str, Any] = {"prefixes": ["TEMPORARY"], "postgresql_on_commit": "DROP"}
        self._is_invoice = kind.model is InvoiceRecord
        self._stage = Table(
            f"import_{kind.name}",
            metadata,
            *(Column(column.name, column.type) for column in kind.columns),
            *(Column(reference.field, Uuid) for reference in kind.references),
            *([Column("unchanged_since_import", Boolean)] if self._is_invoice else []),
            Column("line", BigInteger),
            **temporary,
        )
        self.seen = Table(
            f"import_seen_{kind.name}",
            metadata,
            Column("uuid", Uuid, primary_key=True),
            Column("line", BigInteger),
            **temporary,
        )
        """The UUID and the line of every record of the kind so far."""

    async def create(self, connection: AsyncConnection) -> None:
        """Create the temporary tables for the connection's transaction."""
        await connection.execute(CreateTable(self._stage))
        await connection.execute(CreateTable(self.seen))

    async def truncate(self, connection: AsyncConnection) -> None:
        """Empty the staging table for the next batch. Must not run inside a savepoint.

        In the transaction that created the table, TRUNCATE cuts its file. Inside a savepoint it
        would leave the old file until the end of the transaction. DELETE would leave dead rows,
        which every later batch would read.
        """
        await connection.execute(text(f"TRUNCATE {self._stage.name}"))

    async def write(
        self, connection: AsyncConnection, rows: Sequence[Sequence[object]]
    ) -> BatchResult:
        """Write rows of the staging table's columns. The line is the last one, and ascending."""
        await copy_rows(connection, self._stage.name, rows, self._stage.c.keys())
        rejected = await self._reject_repeated(connection, len(rows))
        created, existing, *missing = (await connection.execute(self._insert)).one()
        missing_references = {
            line: reference.field
            for reference, lines in zip(self.kind.references, missing, strict=True)
            for line in lines or ()
        }
        updated: list[int] = []
        if existing and not self.kind.create_only:
            updated = list((await connection.execute(self._update)).scalars())
        return BatchResult(created, existing, updated, rejected, missing_references)

    async def _reject_repeated(self, connection: AsyncConnection, count: int) -> dict[int, str]:
        """Delete staged records whose UUID an earlier line had; return the reasons by line."""
        stage, seen = self._stage, self.seen
        staged = select(stage.c.uuid, stage.c.line).order_by(stage.c.line)
        remember = (
            postgresql_insert(seen).from_select(["uuid", "line"], staged).on_conflict_do_nothing()
        )
        if (await connection.execute(remember)).rowcount == count:
            return {}
        repeated = (
            delete(stage)
            .where(stage.c.uuid == seen.c.uuid, stage.c.line != seen.c.line)
            .returning(stage.c.line, seen.c.line)
        )
        rows = (await connection.execute(repeated)).all()
        return {line: f"line {first} has the same record" for line, first in rows}

    @cached_property
    def _resolved(self) -> Select[Any]:
        """Select each staged row, the keys of its references and, if it exists, its own key."""
        stage, own = self._stage, self.kind.table.alias("own")
        source: Any = stage.outerjoin(own, own.c.uuid == stage.c.uuid)
        keys = []
        for reference in self.kind.references:
            target = reference.target.alias(f"of_{reference.field}")
            source = source.outerjoin(target, target.c.uuid == stage.c[reference.field])
            keys.append(target.c.id.label(reference.column.name))
        rounded = _ROUNDED_COLUMNS.get(self.kind.model, {})
        if rounded:
            source = source.join(DatabaseCurrency, true())
        values = [
            rounded[column.name](stage).label(column.name) if column.name in rounded else column
            for column in stage.c
        ]
        return select(*values, *keys, own.c.id.label("own_id")).select_from(source)

    def _is_missing(self, rows: CTE | Subquery, reference: Reference) -> ColumnElement[bool]:
        return and_(rows.c[reference.field].is_not(None), rows.c[reference.column.name].is_(None))

    def _any_missing(self, rows: CTE | Subquery) -> ColumnElement[bool]:
        return or_(false(), *(self._is_missing(rows, each) for each in self.kind.references))

    @cached_property
    def _column_names(self) -> list[str]:
        columns = [column.name for column in self.kind.columns]
        return [*columns, *(reference.column.name for reference in self.kind.references)]

    @cached_property
    def _insert(self) -> Select[Any]:
        """Insert the new rows.

        Returns the number of inserted and of existing rows, and for each reference the lines that
        name a missing record.
        """
        rows = self._resolved.cte("resolved")
        is_complete = ~self._any_missing(rows)
        values: dict[str, Any] = {name: rows.c[name] for name in self._column_names}
        if self._is_invoice:
            values["number"] = func.coalesce(rows.c.number, invoice_numbers.next_value())
            values["imported_revision"] = case(
                (rows.c.unchanged_since_import, IMPORT_IN_PROGRESS), else_=None
            )
        new = (
            select(*values.values())
            .where(rows.c.own_id.is_(None), is_complete)
            .order_by(rows.c.line)
        )
        insertion: Insert = insert(self.kind.table).from_select(
            list(values), new, include_defaults=False
        )
        created = insertion.returning(self.kind.table.c.id).cte("created")
        return select(
            select(func.count()).select_from(created).scalar_subquery(),
            func.count().filter(rows.c.own_id.is_not(None), is_complete),
            *(
                func.array_agg(rows.c.line).filter(self._is_missing(rows, reference))
                for reference in self.kind.references
            ),
        ).select_from(rows)

    @cached_property
    def _update(self) -> Update:
        """Update the existing rows that differ from their records; returns the lines."""
        table, rows = self.kind.table, self._resolved.subquery("resolved")
        values: dict[str, Any] = {
            name: rows.c[name] for name in self._column_names if name != "uuid"
        }
        if self._is_invoice:
            values["number"] = func.coalesce(rows.c.number, table.c.number)
        if self.kind.model is TokenRecord:  # a token that was revoked here stays revoked
            values["revoked_at"] = func.coalesce(table.c.revoked_at, rows.c.revoked_at)
        stored = tuple_(*(table.c[name] for name in values))
        return (
            update(table)
            .values(values)
            .where(
                table.c.id == rows.c.own_id,
                ~self._any_missing(rows),
                stored.is_distinct_from(tuple_(*values.values())),
            )
            .returning(rows.c.line)
        )
