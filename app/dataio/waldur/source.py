"""A Waldur database, read in one snapshot and never written to."""

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from sqlalchemy import ColumnElement, Select, column, literal, null, table, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine
from sqlalchemy.pool import NullPool
from sqlalchemy.sql.expression import TableClause

from app.database import timeouts
from app.database.dates import register_date_codecs
from app.dataio.waldur.source_schema import JSON_COLUMNS, WANTED
from app.logging import error_message
from app.settings import postgresql_url

CONNECT_SECONDS = 15
ROWS_AT_ONCE = 1000


@dataclass(frozen=True)
class UnreadableValue:
    """What stands in a row for a value that cannot be read."""

    reason: str


class WaldurUnreadable(Exception):
    """The database cannot be reached or isn't one of a Waldur; the message says what to do."""


class Source:
    """The tables of a Waldur database, as one transaction sees them."""

    def __init__(self, connection: AsyncConnection, found: Mapping[str, frozenset[str]]) -> None:
        self._connection = connection
        self._found = found

    def has(self, name: str) -> bool:
        """Whether this release has the table."""
        return name in self._found

    def table(self, name: str) -> "Readable":
        """Return a table of WANTED, with a value in place of each column that is missing."""
        return Readable(name, self._found.get(name))

    async def rows(self, statement: Select[Any]) -> AsyncIterator[dict[str, Any]]:
        """Yield the rows of a select over a cursor of the server, a thousand at a time."""
        result = await self._connection.stream(
            statement, execution_options={"yield_per": ROWS_AT_ONCE}
        )
        async for row in result.mappings():
            yield dict(row)

    async def all(self, statement: Select[Any]) -> list[dict[str, Any]]:
        """Return the rows of a select that is known to be small."""
        return [dict(row) for row in (await self._connection.execute(statement)).mappings()]


class Readable:
    """One table of the source, to build selects with."""

    def __init__(self, name: str, found: frozenset[str] | None) -> None:
        wanted = WANTED[name]
        names = (*wanted.needed, *wanted.welcome)
        there = names if found is None else tuple(name for name in names if name in found)
        self._defaults = {name: wanted.welcome[name] for name in names if name not in there}
        self.table: TableClause = table(
            name, *(column(name, JSONB() if name in JSON_COLUMNS else None) for name in there)
        )

    def __getitem__(self, name: str) -> ColumnElement[Any]:
        if name not in self._defaults:
            return self.table.c[name]
        default = self._defaults[name]
        if default is None:
            return null().label(name)
        kind = JSONB() if name in JSON_COLUMNS else None
        return literal(default, kind).label(name)

    def all(self, *names: str) -> list[ColumnElement[Any]]:
        """Return several columns."""
        return [self[name] for name in names]


@asynccontextmanager
async def open_source(url: str) -> AsyncIterator[Source]:
    """Open a Waldur database for reading.

    Everything is read in one transaction, REPEATABLE READ and READ ONLY: it shows one moment,
    however long the reading takes, and PostgreSQL itself refuses any change.

    Raises WaldurUnreadable for a wrong address, a refused login, or a missing table or column.
    """
    engine = create_async_engine(
        _driver_url(url),
        poolclass=NullPool,
        connect_args={"timeout": CONNECT_SECONDS},
        isolation_level="REPEATABLE READ",
        execution_options={"postgresql_readonly": True},
        json_deserializer=_read_json,
    )
    register_date_codecs(engine.sync_engine, _no_date)
    try:
        connection = await _connect(engine.connect())
        try:
            # Reading may pause while what was read is written; neither side may give up then.
            await timeouts.disable_timeouts(connection)
            yield Source(connection, await _check(connection))
        finally:
            await connection.close()
    finally:
        await engine.dispose()


def _read_json(value: str) -> object:
    try:
        return json.loads(value, parse_float=Decimal)
    except (ValueError, RecursionError):
        return UnreadableValue("it has a number of thousands of digits, or too many levels")


def _no_date(_kind: str, _since_epoch: int) -> UnreadableValue:
    return UnreadableValue("it is not of the years 1 to 9999")


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


async def _check(connection: AsyncConnection) -> dict[str, frozenset[str]]:
    """Return the columns of each wanted table, or say which needed one is missing."""
    statement = text(
        "SELECT table_name, column_name FROM information_schema.columns"
        " WHERE table_schema = ANY (current_schemas(false)) AND table_name = ANY (:names)"
    )
    found: dict[str, set[str]] = {}
    for name, column_name in await connection.execute(statement, {"names": list(WANTED)}):
        found.setdefault(name, set()).add(column_name)
    missing = []
    for name, wanted in WANTED.items():
        if name in found:
            missing += [f"{name}.{each}" for each in wanted.needed if each not in found[name]]
        elif not wanted.optional:
            missing.append(name)
    if missing:
        raise WaldurUnreadable(
            "This is not a Waldur database that can be read: "
            f"{', '.join(missing)} is missing, or this user may not read it."
        )
    return {name: frozenset(columns) for name, columns in found.items()}
