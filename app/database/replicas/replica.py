"""The replica at DATABASE_READ_URL: its connections, positions and health."""

import asyncio
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import Any, Final, NamedTuple, cast

from sqlalchemy import event
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection

from app.database.coalescer import Coalescer
from app.database.deadline import terminate
from app.database.engine import Database
from app.database.errors import CONNECTION_ERRORS, ConnectionLost, DatabaseUnavailable
from app.database.replicas.position import (
    REPLAY_POSITION,
    STANDBY_IDENTITY,
    STANDBY_TIMELINE,
    Position,
)
from app.logging import describe_error, get_logger
from app.metrics.reads import REPLICA_UP
from app.settings import Settings

CONNECT_TIMEOUT: Final = 1.0
"""Seconds that a connection may take, or a statement that reads a position."""
PROBE_INTERVAL: Final = 1.0
PROBE_TIMEOUT: Final = 2.0
"""Seconds after which a replica that does not answer hangs: its connections are ended."""
_SERVER: Final = "server"
_MAX_SERVERS: Final = 100

_logger = get_logger(__name__)


class ServerId(NamedTuple):
    """One run of one server. Statements on it see ever later positions."""

    system: int
    """The identifier of the database cluster."""
    started: int
    address: str
    port: int

    @property
    def name(self) -> str:
        """A name that no other run of a standby has."""
        return f"{self.address}:{self.port}@{self.started}"


class _Known(NamedTuple):
    """The progress that a server has made at least."""

    timeline: int
    lsn: int


class ReplicaUse:
    """The use of a connection to a replica by a request: open it, then enter it as a context."""

    def __init__(
        self, replica: "Replica", context: AbstractAsyncContextManager[AsyncConnection]
    ) -> None:
        self._replica = replica
        self._context = context
        self._connection: AsyncConnection | None = None
        self._is_terminated = False

    async def open(self) -> AsyncConnection:
        """Connect; raises DatabaseUnavailable."""
        try:
            self._connection = await self._context.__aenter__()
        except DatabaseUnavailable as error:
            self._replica.note_failure(error)
            raise
        self._replica.in_use.add(self)
        return self._connection

    def terminate(self) -> None:
        """End the connection amid its statement."""
        self._is_terminated = True
        assert self._connection is not None  # noqa: S101 - for the type checker
        terminate(self._connection)

    async def __aenter__(self) -> AsyncConnection:
        """Return the connection, which is open."""
        assert self._connection is not None  # noqa: S101 - for the type checker
        return self._connection

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Release the connection; a lost one leaves the replica out."""
        self._replica.in_use.discard(self)
        try:
            await self._context.__aexit__(kind, error, traceback)
        except DatabaseUnavailable as lost:
            self._replica.note_failure(lost)
            raise
        except Exception as raised:
            if self._is_terminated:  # amid a statement, the driver raises any error
                raise ConnectionLost(raised) from raised
            raise
        if self._is_terminated and isinstance(error, Exception):
            raise ConnectionLost(error) from error


class Replica:
    """The standbys behind one address; each connection stays with one of them."""

    def __init__(self, settings: Settings) -> None:
        own = settings.model_copy(
            update={
                "database_url": settings.database_read_url,
                "database_pgbouncer": False,
            }
        )
        self._database = Database(own, is_replica=True, timeout=CONNECT_TIMEOUT)
        single = own.model_copy(update={"database_pool_size": 1})
        self._probing = Database(single, is_replica=True, timeout=PROBE_TIMEOUT)
        for database in (self._database, self._probing):
            event.listen(database.engine.sync_engine, "connect", _identify)
        self._known: dict[ServerId, _Known] = {}
        self.in_use: Final[set[ReplicaUse]] = set()
        self._monitor: AsyncConnection | None = None
        """A connection that stays open, to read positions for many requests at once."""
        self._position = Coalescer(self._read_for_all)
        self._is_up = False
        self._reason = ""
        self._up = REPLICA_UP.labels("DATABASE_READ_URL")

    @property
    def is_up(self) -> bool:
        """Whether the last probe and all reads since succeeded."""
        return self._is_up

    def reading(self) -> ReplicaUse:
        """Return the use of a connection as `Database.reading` opens it."""
        return ReplicaUse(self, self._database.reading())

    def snapshot(self) -> ReplicaUse:
        """Return the use of a connection as `Database.snapshot` opens it."""
        return ReplicaUse(self, self._database.snapshot())

    def note_failure(self, error: DatabaseUnavailable) -> None:
        """Leave the replica out if a connection was lost, until the next probe succeeds."""
        if isinstance(error, ConnectionLost) and not isinstance(error.orig, PoolTimeout):
            self._leave_out(error)

    async def has_replayed(
        self, connection: AsyncConnection, required: Position, system: int
    ) -> bool:
        """Return whether all that a connection reads from now on includes a position.

        Call it before the first statement of a transaction. Raises DatabaseUnavailable.
        """
        server = _server_of(connection)
        if server.system != system:
            await _invalidate(connection)
            raise ConnectionLost(NotAStandby("it belongs to another database"))
        known = self._known.get(server, _Known(0, 0))
        if known.timeline != required.timeline:
            [timeline] = await _fetch(connection, STANDBY_TIMELINE)
            known = self._note(server, timeline, 0)
        if not required.is_included_in(*known, server.name):
            lsn, _ = await self._read_position(connection)
            known = self._note(server, 0, lsn)
        return required.is_included_in(*known, server.name)

    async def shown_position(self, connection: AsyncConnection) -> Position:
        """Return a position that includes all that a connection has read.

        Raises DatabaseUnavailable, also if the server is no standby any more.
        """
        server = _server_of(connection)
        if self._monitor is not None and _server_of(self._monitor) == server:
            lsn, is_replaying = await self._position(None)
        else:
            lsn, is_replaying = await self._read_position(connection)
        known = self._note(server, 0, lsn)
        return Position(known.timeline, lsn, server.name if is_replaying else "")

    async def probe(self) -> None:
        """Try the replica again and again, until cancelled: leave it out, and take it back."""
        while True:
            try:
                async with self._probing.reading() as self._monitor:
                    while True:
                        await self._position(None)
                        await self._take_back()
                        await asyncio.sleep(PROBE_INTERVAL)
            except DatabaseUnavailable as error:
                self._monitor = None
                self._leave_out(error)
                # Its statements may never end; requests try again with the primary.
                for use in tuple(self.in_use):
                    use.terminate()
            await asyncio.sleep(PROBE_INTERVAL)

    async def close(self) -> None:
        """Close every connection."""
        await self._database.close()
        await self._probing.close()

    async def _take_back(self) -> None:
        if self._is_up:
            return
        # Its server may have ended, and another may be at the address.
        await self._database.engine.dispose()
        self._is_up = True
        self._reason = ""
        self._up.set(1)
        _logger.info("replica read")

    def _leave_out(self, error: DatabaseUnavailable) -> None:
        self._is_up = False
        self._up.set(0)
        reason = describe_error(error)
        if reason != self._reason:
            self._reason = reason
            _logger.warning("replica left out", error=reason)

    async def _read_for_all(self, callers: Sequence[None]) -> list[tuple[int, bool]]:
        if self._monitor is None:
            raise ConnectionLost(NotAStandby("it was lost"))
        return [await self._read_position(self._monitor, PROBE_TIMEOUT)] * len(callers)

    def _note(self, server: ServerId, timeline: int, lsn: int) -> _Known:
        """Return the progress of a server, with that which was read now."""
        if len(self._known) >= _MAX_SERVERS and server not in self._known:
            self._known.clear()
        known = self._known.get(server, _Known(0, 0))
        noted = _Known(max(known.timeline, timeline), max(known.lsn, lsn))
        self._known[server] = noted
        return noted

    async def _read_position(
        self, connection: AsyncConnection, seconds: float = CONNECT_TIMEOUT
    ) -> tuple[int, bool]:
        """Return the end of the last record that is replayed, and whether more was received."""
        is_standby, lsn, is_replaying = await _fetch(connection, REPLAY_POSITION, seconds)
        if not is_standby:
            await _invalidate(connection)
            raise ConnectionLost(NotAStandby("it is no standby"))
        return lsn, is_replaying


class NotAStandby(Exception):
    """The server at DATABASE_READ_URL accepts writes, or belongs to another database."""


async def _fetch(
    connection: AsyncConnection, statement: str, seconds: float = CONNECT_TIMEOUT
) -> Sequence[Any]:
    """Return the one row of a statement, executed by the driver outside of SQLAlchemy."""
    driver = _pooled(connection).driver_connection
    try:
        return cast(Sequence[Any], await driver.fetchrow(statement, timeout=seconds))
    except (*CONNECTION_ERRORS, TimeoutError) as error:
        await _invalidate(connection)
        raise ConnectionLost(error) from error


async def _invalidate(connection: AsyncConnection) -> None:
    terminate(connection)
    await connection.invalidate()


def _pooled(connection: AsyncConnection) -> Any:
    assert connection.sync_connection is not None  # noqa: S101 - for the type checker
    return connection.sync_connection.connection


def _server_of(connection: AsyncConnection) -> ServerId:
    return cast(ServerId, _pooled(connection).info[_SERVER])


def _identify(connection: Any, record: Any) -> None:
    """Note the server of a new connection."""

    async def identify(driver: Any) -> ServerId:
        return ServerId(*await driver.fetchrow(STANDBY_IDENTITY))

    record.info[_SERVER] = connection.run_async(identify)
