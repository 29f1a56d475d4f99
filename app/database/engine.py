"""Connections to PostgreSQL for reads, transactions, snapshots and streams."""

import asyncio
from collections.abc import AsyncIterator, Callable, Hashable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from datetime import UTC, date, datetime, timedelta
from functools import partial
from time import monotonic, perf_counter
from typing import Any, Final, TypeAlias, cast

import asyncpg  # type: ignore[import-untyped]  # it has no types
from sqlalchemy import ARRAY, JSON, Engine, RowMapping, event
from sqlalchemy.dialects.postgresql.asyncpg import dialect
from sqlalchemy.exc import DBAPIError, DisconnectionError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.types import TypeEngine

from app.database import hosts
from app.database.deadline import current_deadline
from app.database.errors import (
    CONNECTION_ERRORS,
    ConnectionLost,
    connection_error,
    unavailable_error,
)
from app.database.fair_semaphore import FairSemaphore
from app.database.keepalive import KeptAliveConnection
from app.database.server_clock import ServerClock
from app.database.statements import NO_STATEMENT_CACHE, AnySelect
from app.database.timeouts import (
    AUTOCOMMIT,
    on_first_timeout,
    session_timeouts,
    set_timeouts_in_transactions,
    warn_if_timeouts_ignored,
)
from app.metrics.process import CONNECTION_WAIT, CONNECTIONS_IN_USE
from app.settings import DatabaseSettings

Connection: TypeAlias = AsyncConnection
"""A connection, for the type annotations of endpoints, which import nothing of SQLAlchemy."""
Opener: TypeAlias = Callable[[], AbstractAsyncContextManager[AsyncConnection]]
REPLACE_AFTER: Final = 0.5
"""Seconds after its first use until a read-only session is replaced at its next use.

This limits reconnecting while the database stays read-only: to one new connection per interval for
each connection of the pool.
"""
_DIALECT: Final = dialect()  # type: ignore[no-untyped-call]
_DRIVER_ERRORS: Final = (
    asyncpg.PostgresError,
    asyncpg.InternalClientError,
    asyncpg.InterfaceError,
    OSError,
)
_REPORTED_SETTINGS: Final = ("default_transaction_read_only", "in_hot_standby")
_USED_SINCE: Final = "used_since"
_EPOCH: Final = datetime(2000, 1, 1, tzinfo=UTC)
_EPOCH_DAY: Final = _EPOCH.toordinal()
_MICROSECOND: Final = timedelta(microseconds=1)
_FIRST: Final = datetime.min.replace(tzinfo=UTC)
_LAST: Final = datetime.max.replace(tzinfo=UTC)

OutOfRangeHandler = Callable[[str, int], object]
"""Returns the replacement for a value outside of Python's range.

The arguments are the name of the type, and the days or microseconds since 2000.
"""


class Database:
    """The connection pool of one process."""

    def __init__(
        self, settings: DatabaseSettings, *, is_replica: bool = False, **connect_args: Any
    ) -> None:
        behind_pgbouncer = settings.database_pgbouncer
        session = {"application_name": "cloud-invoicing", "timezone": "UTC"}
        self.engine: AsyncEngine = create_async_engine(
            settings.database_url,
            pool_size=settings.database_pool_size,
            max_overflow=0,
            pool_timeout=settings.database_pool_timeout,
            pool_pre_ping=False,
            # Errors are logged and stored with jobs, where the data of users does not belong.
            hide_parameters=True,
            connect_args={
                # The driver's default of a minute would keep requests waiting.
                "timeout": settings.database_pool_timeout,
                "connection_class": KeptAliveConnection,
                "server_settings": session
                if behind_pgbouncer
                else session | session_timeouts(settings),
                **(NO_STATEMENT_CACHE if behind_pgbouncer else {}),
                **hosts.connect_args(settings.database_url),
                **connect_args,
            },
        )
        register_date_codecs(self.engine.sync_engine)
        self._autocommit = self.engine.execution_options(isolation_level=AUTOCOMMIT)
        connecting = self.transaction if behind_pgbouncer else self._no_transaction
        self._reading: Opener = connecting
        self._changing: Opener = connecting
        if behind_pgbouncer:
            set_timeouts_in_transactions(self.engine.sync_engine, session_timeouts(settings))
            on_first_timeout(
                self.engine.sync_engine,
                partial(self._note_timeout, settings.database_statement_timeout * 1000),
            )
        else:
            warn_if_timeouts_ignored(self.engine.sync_engine, settings)
            if not is_replica:
                _replace_read_only_sessions(self.engine.sync_engine)  # a pooler replaces its own
        self._snapshots = self.engine.execution_options(
            isolation_level="REPEATABLE READ", postgresql_readonly=True
        )
        self._pool_timeout = settings.database_pool_timeout
        self._succeeded_at: float | None = None
        self.clock = ServerClock()
        half = max(1, settings.database_pool_size // 2)
        self._render_slots = FairSemaphore(half)
        self.streams: Final = FairSemaphore(half)
        """A slot for each connection that is held while a client reads a response."""

    def reading(self) -> AbstractAsyncContextManager[AsyncConnection]:
        """Open an autocommit connection for reads; it saves two round trips.

        Behind PgBouncer it is a transaction instead, which sets the timeouts, unless the sessions
        of the role have a statement timeout. Raises DatabaseUnavailable.
        """
        return self._reading()

    def autocommit(self) -> AbstractAsyncContextManager[AsyncConnection]:
        """Open a connection for one statement that changes rows, as `reading` does.

        The statement is a transaction of its own, without the round trips to begin and to commit
        it. If it raises DatabaseUnavailable, the outcome is unknown. Behind PgBouncer it is a
        transaction, which sets the timeouts.
        """
        return self._changing()

    def transaction(self) -> AbstractAsyncContextManager[AsyncConnection]:
        """Open a connection in a transaction that commits at the end, or rolls back on error.

        Raises DatabaseUnavailable. If the commit itself raises it, the outcome is unknown.
        """
        return self._transaction(self.engine)

    def snapshot(self) -> AbstractAsyncContextManager[AsyncConnection]:
        """Open a connection in a read-only transaction that sees one snapshot.

        Raises DatabaseUnavailable.
        """
        return self._transaction(self._snapshots)

    @asynccontextmanager
    async def streaming(self, holder: Hashable = None) -> AsyncIterator[AsyncConnection]:
        """Yield a snapshot that stays open while a client reads the response.

        Streams get half of the pool, shared fairly between holders, so that slow clients leave the
        other half free. Raises DatabaseUnavailable, also if no slot becomes free within
        DATABASE_POOL_TIMEOUT.
        """
        async with self.stream_slot(holder), self.snapshot() as connection:
            yield connection

    def stream_slot(self, holder: Hashable) -> AbstractAsyncContextManager[None]:
        """Wait for the slot of a stream, whatever its snapshot. Raises DatabaseUnavailable."""
        return self._slot(self.streams, holder, "streamed")

    @asynccontextmanager
    async def rendering(self, holder: Hashable) -> AsyncIterator[None]:
        """Wait for a slot to render a response in memory, which limits how many are rendered.

        There are half as many slots as connections, shared fairly between holders. Raises
        DatabaseUnavailable as `streaming` does.
        """
        async with self._slot(self._render_slots, holder, "rendered"):
            yield

    def _note_timeout(self, longest: int, milliseconds: int) -> None:
        """Read without transactions if the sessions of a pooler limit statements themselves."""
        if 0 < milliseconds <= longest:
            self._reading = self._no_transaction

    @asynccontextmanager
    async def _slot(
        self, semaphore: FairSemaphore, holder: Hashable, action: str
    ) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            slot = semaphore.slot(object() if holder is None else holder)
            try:
                with current_deadline.get().spending() as ends_at:
                    async with asyncio.timeout(self._pool_timeout), asyncio.timeout_at(ends_at):
                        await stack.enter_async_context(slot)
            except TimeoutError as error:
                message = f"too many responses are being {action}"
                raise ConnectionLost(TimeoutError(message)) from error
            yield

    def use_primary(self) -> bool:
        """Return False: all is read from the server at DATABASE_URL."""
        return False

    def succeeded_within(self, seconds: float) -> bool:
        """Return whether a transaction or read has ended without error within these seconds."""
        return self._succeeded_at is not None and monotonic() - self._succeeded_at <= seconds

    async def close(self) -> None:
        """Close every connection."""
        await self.engine.dispose()

    @asynccontextmanager
    async def _transaction(self, engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
        async with AsyncExitStack() as stack:
            connection = await self._connect(engine)
            stack.push_async_exit(connection)
            CONNECTIONS_IN_USE.inc()
            stack.callback(CONNECTIONS_IN_USE.dec)
            try:
                with current_deadline.get().spending(connection):
                    async with connection.begin():
                        yield connection
            except DBAPIError as error:
                if unavailable := unavailable_error(error):
                    raise unavailable from error
                raise
        self._succeeded_at = monotonic()

    @asynccontextmanager
    async def _no_transaction(self) -> AsyncIterator[AsyncConnection]:
        # SQLAlchemy would begin a transaction in which nothing happens, and would end it and the
        # connection in tasks of their own. This took a tenth of the CPU time of a read.
        connection = await self._connect(self._autocommit)
        CONNECTIONS_IN_USE.inc()
        try:
            with current_deadline.get().spending(connection):
                yield connection
        except DBAPIError as error:
            if unavailable := unavailable_error(error):
                raise unavailable from error
            raise
        finally:
            CONNECTIONS_IN_USE.dec()
            # It waits for nothing, as there is no transaction: no cancellation interrupts it.
            await connection.close()
        self._succeeded_at = monotonic()

    async def _connect(self, engine: AsyncEngine) -> AsyncConnection:
        connection = engine.connect()
        start = perf_counter()
        try:
            with current_deadline.get().spending() as ends_at:
                async with asyncio.timeout_at(ends_at):
                    return await connection.start()
        except CONNECTION_ERRORS as error:
            raise connection_error(error) from error
        finally:
            CONNECTION_WAIT.observe(perf_counter() - start)


class DirectSelect:
    """A select that the driver executes by itself, for the reads that most requests make.

    SQLAlchemy takes about 0.15 ms of CPU time for each execution, whatever the statement: as long
    as the rest of such a read. The parameters have types that the driver writes by itself.
    SQLAlchemy executes it within a transaction, and if it has columns of JSON, which the driver
    does not read, or parameters that each execution writes into the statement.
    """

    def __init__(self, statement: AnySelect) -> None:
        compiled = statement.compile(dialect=_DIALECT)
        self.statement: Final = statement
        self._is_fixed = not (
            compiled.literal_execute_params
            or compiled.post_compile_params
            or any(_is_json(column.type) for column in statement.selected_columns)
        )
        self._text = str(compiled)
        self._constants = compiled.params
        self._names: Sequence[str] = compiled.positiontup or ()

    async def fetch(
        self, connection: AsyncConnection, values: Mapping[str, Any]
    ) -> Sequence[RowMapping]:
        """Return the rows, of which columns are read by name; raises the errors of `execute`."""
        pooled = connection.sync_connection and connection.sync_connection.connection
        adapted: Any = pooled and pooled.dbapi_connection
        if not (self._is_fixed and adapted and adapted.autocommit):
            return (await connection.execute(self.statement, dict(values))).mappings().all()
        driver = adapted.driver_connection
        arguments = [
            values[name] if name in values else self._constants[name] for name in self._names
        ]
        try:
            rows = await driver.fetch(self._text, *arguments)
        except _DRIVER_ERRORS as error:
            if driver.is_closed():
                # SQLAlchemy fails in the same way, and replaces the pool's older connections: after
                # a failover each of them would fail once, by its deadline if no reply comes.
                return (await connection.execute(self.statement, dict(values))).mappings().all()
            raise DBAPIError(self._text, None, error, hide_parameters=True) from error
        return cast(Sequence[RowMapping], rows)


def _is_json(kind: TypeEngine[Any]) -> bool:
    return isinstance(kind.item_type if isinstance(kind, ARRAY) else kind, JSON)


def _replace_read_only_sessions(engine: Engine) -> None:
    """Make the pool replace read-only sessions that are older than `REPLACE_AFTER`.

    A session that started while the database was read-only stays read-only. A session with a
    standby stays there after the address points to the new primary. PostgreSQL reports the two
    settings of each session whenever they change, so that reading them costs no round trip.
    """

    def check(connection: Any, record: Any, _proxy: Any) -> None:
        now = monotonic()
        # Counted from the first use: a session that was just opened is never replaced.
        since = record.info.setdefault(_USED_SINCE, now)
        settings = connection.driver_connection.get_settings()
        is_read_only = any(getattr(settings, name, "off") == "on" for name in _REPORTED_SETTINGS)
        if is_read_only and now - since > REPLACE_AFTER:
            raise DisconnectionError("the session is read-only")

    event.listen(engine, "checkout", check)


def clamp_to_range(kind: str, since_epoch: int) -> date:
    """Return the first date or time for a value before it, and the last for a value after it."""
    if kind == "date":
        return date.max if since_epoch > 0 else date.min
    return _LAST if since_epoch > 0 else _FIRST


def register_date_codecs(engine: Engine, out_of_range: OutOfRangeHandler = clamp_to_range) -> None:
    """Map every date and time of Python to the same value of PostgreSQL, and back.

    The driver's own codecs write Python's first and last date and time as `-infinity` and
    `infinity`, and cannot read values outside the years 1 to 9999. These apply to parameters,
    results and COPY of all connections of the engine. A time must have an offset.
    """

    def read_date(value: tuple[int]) -> object:
        try:
            return date.fromordinal(value[0] + _EPOCH_DAY)
        except (ValueError, OverflowError):
            return out_of_range("date", value[0])

    def read_time(value: tuple[int]) -> object:
        try:
            return _EPOCH + timedelta(0, 0, value[0])
        except OverflowError:
            return out_of_range("timestamptz", value[0])

    async def register(connection: Any) -> None:
        for name, write, read in (
            ("date", _write_date, read_date),
            ("timestamptz", _write_time, read_time),
        ):
            await connection.set_type_codec(
                name, schema="pg_catalog", encoder=write, decoder=read, format="tuple"
            )

    event.listen(engine, "connect", lambda connection, _record: connection.run_async(register))


def _write_date(value: date) -> tuple[int]:
    return (value.toordinal() - _EPOCH_DAY,)


def _write_time(value: datetime) -> tuple[int]:
    return ((value - _EPOCH) // _MICROSECOND,)
