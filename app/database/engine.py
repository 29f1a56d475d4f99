"""Connections to PostgreSQL: to read, to change in a transaction, to stream from."""

import asyncio
from collections.abc import AsyncIterator, Hashable
from contextlib import AsyncExitStack, asynccontextmanager
from time import monotonic, perf_counter
from typing import Any, TypeAlias

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from app.database.dates import register_date_codecs
from app.database.deadline import terminate_at_deadline, within_deadline
from app.database.errors import (
    ConnectionLost,
    translate_connection_errors,
    translate_statement_errors,
)
from app.database.fair_semaphore import FairSemaphore
from app.database.read_only import replace_read_only_sessions
from app.database.server_clock import ServerClock
from app.database.statements import NO_STATEMENT_CACHE
from app.database.timeouts import (
    session_timeouts,
    set_timeouts_in_transactions,
    warn_if_timeouts_ignored,
)
from app.metrics.connections import CONNECTION_WAIT, CONNECTIONS_AT_MOST, CONNECTIONS_IN_USE
from app.settings import DatabaseSettings

Connection: TypeAlias = AsyncConnection
"""A connection, for the type annotations of endpoints, which import nothing of SQLAlchemy."""


class Database:
    """The pool of connections of one process."""

    def __init__(self, settings: DatabaseSettings, **connect_args: Any) -> None:
        pooled = settings.database_pgbouncer
        session = {"application_name": "cloud-invoicing", "timezone": "UTC"}
        self.engine: AsyncEngine = create_async_engine(
            settings.database_url,
            pool_size=settings.database_pool_size,
            max_overflow=0,
            pool_timeout=settings.database_pool_timeout,
            pool_pre_ping=False,
            # Errors are logged, and kept with jobs; what people sent does not belong there.
            hide_parameters=True,
            connect_args={
                # The driver's own is a minute, for which requests would wait.
                "timeout": settings.database_pool_timeout,
                "server_settings": session if pooled else session | session_timeouts(settings),
                **(NO_STATEMENT_CACHE if pooled else {}),
                **connect_args,
            },
        )
        register_date_codecs(self.engine.sync_engine)
        if pooled:
            self._reading = self.engine
            set_timeouts_in_transactions(self.engine.sync_engine, session_timeouts(settings))
        else:
            self._reading = self.engine.execution_options(isolation_level="AUTOCOMMIT")
            warn_if_timeouts_ignored(self.engine.sync_engine, settings)
            # Behind a pooler, sessions are the pooler's.
            replace_read_only_sessions(self.engine.sync_engine)
        self._snapshots = self.engine.execution_options(
            isolation_level="REPEATABLE READ", postgresql_readonly=True
        )
        CONNECTIONS_AT_MOST.set(settings.database_pool_size)
        self._patience = settings.database_pool_timeout
        self._succeeded_at: float | None = None
        self.clock = ServerClock()
        half = max(1, settings.database_pool_size // 2)
        self._render_slots = FairSemaphore(half)
        self.streams = FairSemaphore(half)
        """A place for each connection that is held for as long as a client takes to read."""

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncConnection]:
        """Yield a connection whose statements each stand alone; it saves two round trips.

        Behind a pooler, which has other clients' statements between, they are a transaction.
        Raises DatabaseUnavailable where the database is not to be had, now or amid the work.
        """
        async with self._transaction(self._reading) as connection:
            yield connection

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncConnection]:
        """Yield a connection in a transaction that commits at the end, or rolls back on error.

        Raises DatabaseUnavailable where the database is not to be had, now or amid the work; it
        is not known then whether a commit under way was done.
        """
        async with self._transaction(self.engine) as connection:
            yield connection

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator[AsyncConnection]:
        """Yield a connection in a transaction that sees one moment, and can change nothing.

        Raises DatabaseUnavailable as the others do.
        """
        async with self._transaction(self._snapshots) as connection:
            yield connection

    @asynccontextmanager
    async def streaming(self, holder: Hashable = None) -> AsyncIterator[AsyncConnection]:
        """Yield a snapshot that is held for as long as a client takes to read what comes of it.

        Half of the pool is for these, so that clients that read slowly leave the other half to
        all others; it is shared fairly between holders. Raises DatabaseUnavailable as the others
        do, also where no place becomes free in the time that a request waits for a connection.
        """
        async with self._place(self.streams, holder, "streamed"), self.snapshot() as connection:
            yield connection

    @asynccontextmanager
    async def rendering(self, holder: Hashable) -> AsyncIterator[None]:
        """Let an answer be made, in memory and on a connection, while not too many others are.

        The places are as many as half of the pool, and shared fairly between holders. Raises
        DatabaseUnavailable as `streaming` does.
        """
        async with self._place(self._render_slots, holder, "made"):
            yield

    @asynccontextmanager
    async def _place(
        self, places: FairSemaphore, holder: Hashable, done: str
    ) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            place = places.slot(object() if holder is None else holder)
            try:
                async with asyncio.timeout(self._patience):
                    await within_deadline(stack.enter_async_context(place))
            except TimeoutError as error:
                raise ConnectionLost(TimeoutError(f"too many answers are being {done}")) from error
            yield

    def succeeded_within(self, seconds: float) -> bool:
        """Tell whether the database has lately done what was asked of it to the end."""
        return self._succeeded_at is not None and monotonic() - self._succeeded_at <= seconds

    async def close(self) -> None:
        """Close every connection."""
        await self.engine.dispose()

    @asynccontextmanager
    async def _transaction(self, engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
        async with AsyncExitStack() as stack:
            asked = perf_counter()
            try:
                with translate_connection_errors():
                    connection = await within_deadline(stack.enter_async_context(engine.connect()))
            finally:
                CONNECTION_WAIT.observe(perf_counter() - asked)
            CONNECTIONS_IN_USE.inc()
            stack.callback(CONNECTIONS_IN_USE.dec)
            with translate_statement_errors(), terminate_at_deadline(connection):
                async with connection.begin():
                    yield connection
        self._succeeded_at = monotonic()
