"""Writes records in batches: COPY to a temporary table, then INSERT and UPDATE as sets.

A row that is equal to its record is not updated, so that a repeated import changes nothing, not
even a revision. The temporary tables are dropped at the end of the transaction.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

from sqlalchemy import (
    ARRAY,
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
    TableValuedAlias,
    Update,
    Uuid,
    and_,
    case,
    cast,
    column,
    delete,
    exists,
    func,
    insert,
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

from app.database.copying import copy_rows
from app.dataio.records.identity import TokenRecord
from app.dataio.records.invoices import InvoiceItemRecord, InvoiceRecord
from app.dataio.records.payments import PaymentRecord
from app.dataio.records.record import Record
from app.dataio.registry import Link, RecordKind
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


def _unnest(uuids: ColumnElement[Any]) -> TableValuedAlias:
    elements = func.unnest(uuids).table_valued(column("uuid", Uuid), with_ordinality="place")
    return elements.render_derived()


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
            *(Column(link.field, ARRAY(Uuid)) for link in kind.links),
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
        """The UUID and the line of every record of the kind so far, except for distinct rows."""

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
        self,
        connection: AsyncConnection,
        rows: Sequence[Sequence[object]],
        *,
        are_distinct: bool = False,
    ) -> BatchResult:
        """Write rows of the staging table's columns. The line is the last one, and ascending.

        Rows that `are_distinct` have UUIDs that no other row of the import has. They are not added
        to `seen`.
        """
        await copy_rows(connection, self._stage.name, rows, self._stage.c.keys())
        rejected = {} if are_distinct else await self._reject_repeated(connection, len(rows))
        created, existing, *missing = (await connection.execute(self._insert)).one()
        for name, found in zip(self._missing_names, missing, strict=True):
            rejected |= {line: f"there is no {name} {uuid}" for line, uuid in found or ()}
        updated: list[int] = []
        if existing and not self.kind.create_only:
            updated = list((await connection.execute(self._update)).scalars())
        for link in self.kind.links:
            await self._store_links(connection, link)
        return BatchResult(created, existing, updated, rejected)

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
        # A join would read the whole table for each batch. The statement is planned while the
        # table is empty.
        own_id = select(own.c.id).where(own.c.uuid == stage.c.uuid).scalar_subquery()
        source: Any = stage
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
        for link in self.kind.links:
            listed, target = _unnest(stage.c[link.field]), link.target.alias(f"of_{link.field}")
            missing = select(listed.c.uuid).where(~exists().where(target.c.uuid == listed.c.uuid))
            first = missing.order_by(listed.c.place).limit(1).scalar_subquery()
            keys.append(first.label(f"missing_{link.field}"))
        return select(*values, *keys, own_id.label("own_id")).select_from(source)

    @cached_property
    def _missing_names(self) -> list[str]:
        """The names of `_missing_uuids`."""
        fields = [each.field for each in self.kind.references]
        fields += [each.field.removesuffix("s") for each in self.kind.links]
        return [field.replace("_", " ") for field in fields]

    def _missing_uuids(self, rows: CTE | Subquery) -> list[ColumnElement[Any]]:
        """Return, for each reference and link, the UUID that no record has; null if one has it."""
        references = [
            case((rows.c[each.column.name].is_(None), rows.c[each.field]))
            for each in self.kind.references
        ]
        return [*references, *(rows.c[f"missing_{each.field}"] for each in self.kind.links)]

    def _is_complete(self, rows: CTE | Subquery) -> ColumnElement[bool]:
        return and_(true(), *(uuid.is_(None) for uuid in self._missing_uuids(rows)))

    @cached_property
    def _column_names(self) -> list[str]:
        columns = [column.name for column in self.kind.columns]
        return [*columns, *(reference.column.name for reference in self.kind.references)]

    @cached_property
    def _insert(self) -> Select[Any]:
        """Insert the new rows.

        Returns the number of inserted and of existing rows, and for each of `_missing_uuids` the
        lines that name a missing record, with its UUID.
        """
        rows = self._resolved.cte("resolved")
        is_complete = self._is_complete(rows)
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
                func.jsonb_agg(func.jsonb_build_array(rows.c.line, uuid)).filter(uuid.is_not(None))
                for uuid in self._missing_uuids(rows)
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
        differs = stored.is_distinct_from(tuple_(*values.values()))
        for link in self.kind.links:
            listed = _unnest(rows.c[link.field])
            uuids = select(listed.c.uuid).distinct().order_by(listed.c.uuid).scalar_subquery()
            differs |= link.stored(table.c.id).is_distinct_from(func.array(uuids))
        return (
            update(table)
            .values(values)
            .where(table.c.id == rows.c.own_id, self._is_complete(rows), differs)
            .returning(rows.c.line)
        )

    async def _store_links(self, connection: AsyncConnection, link: Link) -> None:
        """Make the link table's rows of the stored records equal to their lists."""
        rows, table, target = self._resolved.cte("resolved"), link.own.table, link.target
        listed = _unnest(rows.c[link.field])
        new = (
            select(rows.c.own_id, target.c.id)
            .select_from(rows.join(listed, true()).join(target, target.c.uuid == listed.c.uuid))
            .where(self._is_complete(rows))
            .distinct()
        )
        own = select(rows.c.own_id).where(self._is_complete(rows))
        is_listed = tuple_(link.own, link.listed).in_(new)
        await connection.execute(delete(table).where(link.own.in_(own), ~is_listed))
        insertion = postgresql_insert(table).from_select([link.own, link.listed], new)
        await connection.execute(insertion.on_conflict_do_nothing())
