"""Connections to PostgreSQL: one that reads, and one that is a transaction."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from app.database.failures import connecting, working
from app.settings import DatabaseSettings


class Database:
    """The pool of connections of one process."""

    def __init__(self, settings: DatabaseSettings, **connect_args: Any) -> None:
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
                "server_settings": {
                    "application_name": "cloud-invoicing",
                    "statement_timeout": f"{settings.database_statement_timeout}s",
                    "timezone": "UTC",
                },
                **connect_args,
            },
        )
        self._reading = self.engine.execution_options(isolation_level="AUTOCOMMIT")

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncConnection]:
        """Yield a connection whose statements each stand alone; it saves two round trips.

        Raises DatabaseUnavailable where the database is not to be had, now or amid the work.
        """
        async with AsyncExitStack() as stack:
            with connecting():
                connection = await stack.enter_async_context(self._reading.connect())
            with working():
                yield connection

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncConnection]:
        """Yield a connection in a transaction that commits at the end, or rolls back on error.

        Raises DatabaseUnavailable where the database is not to be had, now or amid the work; it
        is not known then whether a commit under way was done.
        """
        async with AsyncExitStack() as stack:
            with connecting():
                connection = await stack.enter_async_context(self.engine.connect())
            with working():
                async with connection.begin():
                    yield connection

    async def close(self) -> None:
        """Close every connection."""
        await self.engine.dispose()
