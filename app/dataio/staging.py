"""Batches of records of one kind: copied to a temporary table, then inserted or updated as a set.

A row that is equal to its record is not touched, so that importing twice changes nothing, not even
a revision. All tables made here go with the transaction.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

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
from sqlalchemy.dialects.postgresql import insert as insert_or_leave
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.schema import CreateTable
from sqlalchemy.sql.elements import ColumnElement

from app.dataio.records import Invoice, InvoiceItem, Payment, Record, Token
from app.dataio.registry import Kind, Reference
from app.invoices.models import DatabaseCurrency, invoice_numbers

JUST_IMPORTED = 0
"""The imported revision of an invoice whose items are still to come."""


_decimals = cast(DatabaseCurrency.decimals, Integer)


def _price(stage: Table) -> ColumnElement[Any]:
    """Return the price of a staged item: as given, else as the database makes it."""
    made = func.item_price(stage.c.unit_price, stage.c.quantity, _decimals)
    return func.coalesce(func.round(stage.c.price, _decimals), made)


_AMOUNTS: dict[type[Record], dict[str, Callable[[Table], ColumnElement[Any]]]] = {
    InvoiceItem: {"price": _price},
    Payment: {"sum": lambda stage: func.round(stage.c.sum, _decimals)},
}
"""The columns that are written with as many decimals as the currency has, by kind."""


@dataclass
class Written:
    """What became of a batch."""

    created: int
    existing: int
    """Rows that were there before."""
    updated: list[int]
    """The lines whose row was there and differed."""
    refused: dict[int, str]
    """The lines that were left out, and why."""
    unknown: dict[int, str]
    """The lines that were left out since a field names what is not there, and the field."""


class Staging:
    """The temporary tables and the statements of one kind, the same in every transaction."""

    def __init__(self, kind: Kind) -> None:
        self.kind = kind
        metadata = MetaData()
        temporary: dict[str, Any] = {"prefixes": ["TEMPORARY"], "postgresql_on_commit": "DROP"}
        self._flagged = kind.model is Invoice
        self._stage = Table(
            f"import_{kind.name}",
            metadata,
            *(Column(column.name, column.type) for column in kind.columns),
            *(Column(reference.field, Uuid) for reference in kind.references),
            *([Column("unchanged_since_import", Boolean)] if self._flagged else []),
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
        """Every record of the kind so far: its UUID and its line."""

    async def prepare(self, connection: AsyncConnection) -> None:
        """Make the temporary tables, which go with the transaction."""
        await connection.execute(CreateTable(self._stage))
        await connection.execute(CreateTable(self.seen))

    async def clear(self, connection: AsyncConnection) -> None:
        """Empty the stage for the next batch, in the transaction in which it was made.

        Its file is cut then. Within a savepoint it would be left behind until the end for a new
        one, and deleted rows would be read over by every later batch.
        """
        await connection.execute(text(f"TRUNCATE {self._stage.name}"))

    async def write(self, connection: AsyncConnection, rows: Sequence[Sequence[object]]) -> Written:
        """Write rows: the values of the stage's columns, the line last and rising."""
        await self._copy(connection, rows)
        refused = await self._refuse_repeated(connection, len(rows))
        created, existing, *unknown = (await connection.execute(self._insert)).one()
        fields = {
            line: reference.field
            for reference, lines in zip(self.kind.references, unknown, strict=True)
            for line in lines or ()
        }
        updated: list[int] = []
        if existing and not self.kind.create_only:
            updated = list((await connection.execute(self._update)).scalars())
        return Written(created, existing, updated, refused, fields)

    async def _copy(self, connection: AsyncConnection, rows: Sequence[Sequence[object]]) -> None:
        raw = (await connection.get_raw_connection()).driver_connection
        if raw is None:  # pragma: no cover - only after the connection was closed
            raise RuntimeError("the connection is closed")
        await raw.copy_records_to_table(
            self._stage.name, records=rows, columns=self._stage.c.keys()
        )

    async def _refuse_repeated(self, connection: AsyncConnection, count: int) -> dict[int, str]:
        stage, seen = self._stage, self.seen
        given = select(stage.c.uuid, stage.c.line).order_by(stage.c.line)
        noted = insert_or_leave(seen).from_select(["uuid", "line"], given).on_conflict_do_nothing()
        if (await connection.execute(noted)).rowcount == count:
            return {}
        repeated = (
            delete(stage)
            .where(stage.c.uuid == seen.c.uuid, stage.c.line != seen.c.line)
            .returning(stage.c.line, seen.c.line)
        )
        rows = (await connection.execute(repeated)).all()
        return {line: f"line {first} gives this record already" for line, first in rows}

    @cached_property
    def _resolved(self) -> Select[Any]:
        """Each staged row with the keys of what it names and, where it exists, its own."""
        stage, own = self._stage, self.kind.table.alias("own")
        source: Any = stage.outerjoin(own, own.c.uuid == stage.c.uuid)
        keys = []
        for reference in self.kind.references:
            target = reference.target.alias(f"of_{reference.field}")
            source = source.outerjoin(target, target.c.uuid == stage.c[reference.field])
            keys.append(target.c.id.label(reference.column.name))
        amounts = _AMOUNTS.get(self.kind.model, {})
        if amounts:
            source = source.join(DatabaseCurrency, true())
        given = [amounts[c.name](stage).label(c.name) if c.name in amounts else c for c in stage.c]
        return select(*given, *keys, own.c.id.label("own_id")).select_from(source)

    def _unknown(self, rows: CTE | Subquery, reference: Reference) -> ColumnElement[bool]:
        return and_(rows.c[reference.field].is_not(None), rows.c[reference.column.name].is_(None))

    def _any_unknown(self, rows: CTE | Subquery) -> ColumnElement[bool]:
        return or_(false(), *(self._unknown(rows, each) for each in self.kind.references))

    @cached_property
    def _written(self) -> list[str]:
        columns = [column.name for column in self.kind.columns]
        return [*columns, *(reference.column.name for reference in self.kind.references)]

    @cached_property
    def _insert(self) -> Select[Any]:
        """Insert what is new; count that, count what is there, list lines by unknown reference."""
        rows = self._resolved.cte("resolved")
        good = ~self._any_unknown(rows)
        values: dict[str, Any] = {name: rows.c[name] for name in self._written}
        if self._flagged:
            values["number"] = func.coalesce(rows.c.number, invoice_numbers.next_value())
            values["imported_revision"] = case(
                (rows.c.unchanged_since_import, JUST_IMPORTED), else_=None
            )
        new = select(*values.values()).where(rows.c.own_id.is_(None), good).order_by(rows.c.line)
        insertion: Insert = insert(self.kind.table).from_select(
            list(values), new, include_defaults=False
        )
        created = insertion.returning(self.kind.table.c.id).cte("created")
        return select(
            select(func.count()).select_from(created).scalar_subquery(),
            func.count().filter(rows.c.own_id.is_not(None), good),
            *(
                func.array_agg(rows.c.line).filter(self._unknown(rows, reference))
                for reference in self.kind.references
            ),
        ).select_from(rows)

    @cached_property
    def _update(self) -> Update:
        """Update what is there and differs; returns the lines."""
        table, rows = self.kind.table, self._resolved.subquery("resolved")
        values: dict[str, Any] = {name: rows.c[name] for name in self._written if name != "uuid"}
        if self.kind.model is Invoice:
            values["number"] = func.coalesce(rows.c.number, table.c.number)
        if self.kind.model is Token:  # what was revoked here stays so
            values["revoked_at"] = func.coalesce(table.c.revoked_at, rows.c.revoked_at)
        before = tuple_(*(table.c[name] for name in values))
        return (
            update(table)
            .values(values)
            .where(
                table.c.id == rows.c.own_id,
                ~self._any_unknown(rows),
                before.is_distinct_from(tuple_(*values.values())),
            )
            .returning(rows.c.line)
        )
