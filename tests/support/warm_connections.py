"""Idle sessions with the database that tests reuse: the next test takes them.

A new session loads the catalog, plans each statement and compiles each trigger function again: this
took most of the processor time of PostgreSQL in a test of the API.
"""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

import asyncpg  # type: ignore[import-untyped]  # it has no types
from sqlalchemy import make_url

from app.database.keepalive import KeptAliveConnection

_RESET: Final = "SET SESSION AUTHORIZATION DEFAULT; DISCARD TEMP;"
_RESET_SECONDS: Final = 2.0
_idle: dict[str, list["WarmConnection"]] = defaultdict(list)
_database: str | None = None
_loop: asyncio.AbstractEventLoop | None = None


class WarmConnection(KeptAliveConnection):
    """A connection that waits for the next test once it is closed."""

    warm_key: str = ""
    _codecs: frozenset[tuple[object, ...]] = frozenset()

    def get_reset_query(self) -> str:
        """Return the statements that reset the session."""
        return f"{super().get_reset_query()} {_RESET}"

    async def set_type_codec(self, typename: str, **options: Any) -> None:
        """Set a codec, unless an earlier test has: it would forget all prepared statements."""
        functions = [options[name].__qualname__ for name in ("encoder", "decoder")]
        codec = (typename, options.get("schema"), options.get("format"), *functions)
        if codec not in self._codecs:
            await super().set_type_codec(typename, **options)
            self._codecs |= {codec}

    async def close(self, *, timeout: float | None = None) -> None:  # noqa: ASYNC109 - the driver's
        """Reset the session and keep it; close it if a time is given, or if it cannot be reset."""
        if timeout is None and await self._reset_session():
            _idle[self.warm_key].append(self)
        else:
            await super().close(timeout=timeout)

    async def close_for_good(self) -> None:
        """Close the connection."""
        await super().close(timeout=_RESET_SECONDS)

    async def _reset_session(self) -> bool:
        if not self.warm_key or self.is_closed() or self.is_in_transaction():
            return False
        try:
            await self.reset(timeout=_RESET_SECONDS)
        except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError):
            return False
        return not self.is_closed()


async def connect(**options: Any) -> asyncpg.Connection:
    """Take a session with the same options that is kept, or open one.

    A connection works in its event loop alone; commands run in loops of their own.
    """
    if options.get("database") != _database or asyncio.get_running_loop() is not _loop:
        return await asyncpg.connect(**options)
    key = repr(sorted(options.items(), key=lambda option: option[0]))
    while idle := _idle[key]:
        if not (connection := idle.pop()).is_closed():
            return connection
    connection = await asyncpg.connect(**{**options, "connection_class": WarmConnection})
    connection.warm_key = key
    return connection


def idle_sessions() -> list[int]:
    """Return the process numbers of the sessions that are kept."""
    return [
        connection.get_server_pid()
        for idle in _idle.values()
        for connection in idle
        if not connection.is_closed()
    ]


@asynccontextmanager
async def any_session(url: str) -> AsyncIterator[asyncpg.Connection]:
    """Borrow a session that is kept, or open one with the database at the URL."""
    for idle in _idle.values():
        while idle:
            connection = idle.pop()
            if not connection.is_closed():
                yield connection
                idle.append(connection)
                return
    connection = await asyncpg.connect(
        make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
    )
    try:
        yield connection
    finally:
        await connection.close()


async def close_idle_sessions() -> None:
    """Close the sessions that are kept."""
    connections = [connection for idle in _idle.values() for connection in idle]
    _idle.clear()
    for connection in connections:
        await connection.close_for_good()


async def keep_sessions_of(database: str | None) -> None:
    """Close the sessions that are kept, and keep those with this database from now on."""
    global _database, _loop
    _database, _loop = database, asyncio.get_running_loop()
    await close_idle_sessions()
