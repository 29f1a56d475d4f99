"""COPY, for which SQLAlchemy has no statement."""

import asyncio
from collections.abc import AsyncGenerator, Iterable, Sequence
from typing import Any, Final

import asyncpg  # type: ignore[import-untyped]  # it has no types
from sqlalchemy import ClauseElement
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

_QUEUED_PIECES: Final = 4
"""Pieces of a socket's buffer that are ready before the server waits."""
_UNQUOTED: Final = {"format": "csv", "delimiter": "\x02", "quote": "\x01", "escape": "\x01"}
"""With these characters, CSV is the text as it is: JSON escapes control characters."""


async def copy_rows(
    connection: AsyncConnection,
    table: str,
    rows: Iterable[Sequence[object]],
    columns: Sequence[str],
) -> None:
    """Copy rows of values to columns of a table."""
    driver = await _driver(connection)
    await driver.copy_records_to_table(table, records=rows, columns=columns)


async def copy_lines(
    connection: AsyncConnection, statement: ClauseElement
) -> AsyncGenerator[bytes, None]:
    """Yield the rows of one column of JSON, each with a line feed, in pieces of any size.

    The server goes on while the pieces are used. The connection cannot be used meanwhile. An
    iteration that ends early must be closed, which also closes the connection. Raises DBAPIError.
    """
    driver = await _driver(connection)
    compiled = statement.compile(dialect=connection.dialect, compile_kwargs={"literal_binds": True})
    pieces: asyncio.Queue[bytes | None] = asyncio.Queue(_QUEUED_PIECES)
    is_closed = False

    async def copy() -> None:
        try:
            await driver.copy_from_query(str(compiled), output=pieces.put, **_UNQUOTED)
        except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as error:
            raise DBAPIError(str(compiled), None, error) from error
        finally:
            if not is_closed:
                await pieces.put(None)

    copying = asyncio.create_task(copy())
    try:
        while (piece := await pieces.get()) is not None:
            yield piece
        await copying
    finally:
        is_closed = True
        if not copying.done():
            # After a canceled COPY the driver takes the next response for one of the COPY.
            await connection.invalidate()
        copying.cancel()
        await asyncio.gather(copying, return_exceptions=True)


async def _driver(connection: AsyncConnection) -> Any:
    driver = (await connection.get_raw_connection()).driver_connection
    if driver is None:  # pragma: no cover - only after the connection was closed
        raise RuntimeError("the connection is closed")
    return driver
