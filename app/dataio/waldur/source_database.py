"""Reads a Waldur's database in one read-only snapshot."""

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from sqlalchemy import ColumnElement, FromClause, Select, column, literal, null, select, table, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine
from sqlalchemy.pool import NullPool
from sqlalchemy.sql.expression import TableClause

from app.database import timeouts
from app.database.engine import register_date_codecs
from app.dataio.waldur.source_schema import JSON_COLUMNS, SOURCE_SCHEMA
from app.logging import error_message
from app.server_urls import postgresql_url

_CONNECT_SECONDS: Final = 15
_BATCH_ROWS: Final = 1000


@dataclass(frozen=True)
class UnreadableValue:
    """Replaces a value that cannot be read in a row."""

    reason: str


class WaldurUnreadable(Exception):
    """The database cannot be reached or is not a Waldur's. The message is for the operator."""


class WaldurDatabase:
    """The tables of a Waldur database in one transaction."""

    def __init__(self, connection: AsyncConnection, columns: Mapping[str, frozenset[str]]) -> None:
        self._connection = connection
        self._columns = columns
        self._tables: dict[str, SourceTable] = {}

    def has(self, name: str) -> bool:
        """Return whether this release has a table."""
        return name in self._columns

    def table(self, name: str) -> "SourceTable":
        """Return a table of SOURCE_SCHEMA, with the defaults of the missing columns."""
        if name not in self._tables:
            self._tables[name] = SourceTable(name, self._columns.get(name))
        return self._tables[name]

    def select(self, name: str) -> Select[Any]:
        """Select the columns of a table and, by their fields, the UUIDs of the rows that it names.

        Outer joins resolve the references, so that the import can report a row whose reference does
        not exist.
        """
        own = self.table(name)
        source: FromClause = own.table
        selected = list(own.columns)
        for field, (target_name, key) in SOURCE_SCHEMA[name].references.items():
            if not self.has(target_name):
                selected.append(null().label(field))
                continue
            target = self.table(target_name).table.alias(f"of_{field}")
            source = source.outerjoin(target, target.c.id == own[key])
            selected.append(target.c.uuid.label(field))
        return select(*selected).select_from(source).order_by(own["id"])

    async def rows(self, statement: Select[Any]) -> AsyncIterator[dict[str, Any]]:
        """Yield the rows of a select from a server-side cursor."""
        result = await self._connection.stream(
            statement, execution_options={"yield_per": _BATCH_ROWS}
        )
        async for row in result.mappings():
            yield dict(row)

    async def all(self, statement: Select[Any]) -> list[dict[str, Any]]:
        """Return the rows of a select that has few."""
        return [dict(row) for row in (await self._connection.execute(statement)).mappings()]


class SourceTable:
    """A table of the Waldur database, for selects."""

    def __init__(self, name: str, existing: frozenset[str] | None) -> None:
        schema = SOURCE_SCHEMA[name]
        self._names = (*schema.required.split(), *schema.defaults)
        found = [each for each in self._names if existing is None or each in existing]
        self._defaults = {each: schema.defaults[each] for each in self._names if each not in found}
        self.table: TableClause = table(
            name, *(column(each, JSONB() if each in JSON_COLUMNS else None) for each in found)
        )

    def __getitem__(self, name: str) -> ColumnElement[Any]:
        if name not in self._defaults:
            return self.table.c[name]
        default = self._defaults[name]
        if default is None:
            return null().label(name)
        column_type = JSONB() if name in JSON_COLUMNS else None
        return literal(default, column_type).label(name)

    @property
    def columns(self) -> list[ColumnElement[Any]]:
        """Every column that an import reads."""
        return [self[name] for name in self._names]


@asynccontextmanager
async def open_waldur_database(url: str) -> AsyncIterator[WaldurDatabase]:
    """Open a Waldur database for reading.

    One transaction, REPEATABLE READ and READ ONLY, reads everything: all rows are of one moment,
    and PostgreSQL rejects every change.

    Raises WaldurUnreadable for an invalid address, a rejected login, or a missing table or column.
    """
    engine = create_async_engine(
        _driver_url(url),
        poolclass=NullPool,
        connect_args={"timeout": _CONNECT_SECONDS},
        isolation_level="REPEATABLE READ",
        execution_options={"postgresql_readonly": True},
        json_deserializer=_parse_json,
    )
    register_date_codecs(engine.sync_engine, _unreadable_date)
    try:
        connection = await _connect(engine.connect())
        try:
            # The import writes between its reads, so that neither connection may time out.
            await timeouts.disable_timeouts(connection)
            yield WaldurDatabase(connection, await _find_columns(connection))
        finally:
            await connection.close()
    finally:
        await engine.dispose()


def _parse_json(value: str) -> object:
    try:
        return json.loads(value, parse_float=Decimal)
    except (ValueError, RecursionError):
        return UnreadableValue("it has a number with thousands of digits, or too many levels")


def _unreadable_date(_kind: str, _since_epoch: int) -> UnreadableValue:
    return UnreadableValue("it is outside of the years 1 to 9999")


def _driver_url(url: str) -> str:
    try:
        return postgresql_url(url)
    except ValueError as error:
        raise WaldurUnreadable(
            "The address of the Waldur database is not a URL like "
            f"postgresql://user:password@host:5432/waldur: {error}."
        ) from error


async def _connect(connecting: AsyncConnection) -> AsyncConnection:
    try:
        return await connecting
    except DBAPIError as error:
        reason = error_message(error).rpartition(">: ")[2] or "no answer"
    except (OSError, TypeError, ValueError) as error:
        reason = error_message(error)
    address = connecting.engine.url.set(drivername="postgresql", password=None, query={})
    shown = address.render_as_string(hide_password=True)
    raise WaldurUnreadable(f"The Waldur database {shown} cannot be read: {reason}")


async def _find_columns(connection: AsyncConnection) -> dict[str, frozenset[str]]:
    """Return the columns of each table; raises WaldurUnreadable if a required one is missing."""
    statement = text(
        "SELECT table_name, column_name FROM information_schema.columns"
        " WHERE table_schema = ANY (current_schemas(false)) AND table_name = ANY (:names)"
    )
    columns: dict[str, set[str]] = {}
    for name, column_name in await connection.execute(statement, {"names": list(SOURCE_SCHEMA)}):
        columns.setdefault(name, set()).add(column_name)
    missing = []
    for name, schema in SOURCE_SCHEMA.items():
        if name in columns:
            missing += [
                f"{name}.{each}" for each in schema.required.split() if each not in columns[name]
            ]
        elif not schema.optional:
            missing.append(name)
    if missing:
        raise WaldurUnreadable(
            "This is not a readable Waldur database: "
            f"{', '.join(missing)} is missing, or this user may not read it."
        )
    return {name: frozenset(own) for name, own in columns.items()}
