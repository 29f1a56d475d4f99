"""Alembic's environment, with the settings and metadata of the service.

Each revision runs in its own transaction, under the timeouts of `migrations.limits`. A revision that
meets a busy table starts again after a pause, so that requests can run in between.
"""

import asyncio
import time
from collections.abc import Callable
from typing import Final

from alembic import context
from sqlalchemy import Connection, func, select, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from app.database import hosts, import_lock
from app.database.errors import unavailable_error
from app.database.statements import NO_STATEMENT_CACHE
from app.database.timeouts import set_timeouts_in_transactions
from app.models import metadata
from app.progress import UNWATCHED, Progress
from app.settings import DatabaseSettings
from migrations import limits

MIGRATION_LOCK: Final = 4_812_201_900_417
"""The advisory lock of the running migration; any number, but the same in every release."""
BUSY: Final = ("55P03", "40P01")
"""SQLSTATE: lock timeout, deadlock."""
FIRST_PAUSE: Final = 0.5
LONGEST_PAUSE: Final = 8.0
"""Seconds between two attempts; the pause doubles each time."""


def run(connection: Connection) -> None:
    """Migrate on one connection, with one transaction for each revision."""
    progress: Progress = context.config.attributes.get("progress", UNWATCHED)
    context.configure(
        connection=connection,
        target_metadata=metadata,
        compare_type=True,
        compare_server_default=True,
        transaction_per_migration=True,
        on_version_apply=lambda **_: progress.advance(),
    )
    progress.begin("revisions")
    with context.begin_transaction():
        context.run_migrations()


async def run_exclusively(engine: AsyncEngine) -> None:
    """Migrate while no other instance migrates and no import runs.

    The lock belongs to a transaction that stays open on a second connection. A session's lock would
    be lost behind a pooler, and a lock of the migration's transaction with its first commit. That
    transaction must hold no snapshot, neither while it waits nor later: CREATE INDEX CONCURRENTLY
    would wait for the snapshot's end, and so for itself.

    An import locks tables in another order, so that one of the two could end in a deadlock.
    """
    lock = select(func.pg_try_advisory_xact_lock(MIGRATION_LOCK))
    async with engine.connect() as holder:
        while not (await holder.execute(lock)).scalar_one():
            await holder.rollback()
            await asyncio.sleep(FIRST_PAUSE)
        await lock_out_imports(holder)
        # A SET takes no snapshot, so it also releases that of the query before.
        await holder.execute(text("SET LOCAL idle_in_transaction_session_timeout = 0"))
        await run_with_retries(engine)


async def lock_out_imports(holder: AsyncConnection) -> None:
    """Wait for a running import; lock out imports until the holder's transaction ends."""
    is_reported = False
    while not await import_lock.try_lock_out_imports(holder):
        if not is_reported:
            report("An import is running; waiting for its end.")
        is_reported = True
        await asyncio.sleep(FIRST_PAUSE)


def report(line: str) -> None:
    """Report progress to the caller of the migration, if it wants to know."""
    callback: Callable[[str], None] | None = context.config.attributes.get("report")
    if callback is not None:
        callback(line)


async def run_with_retries(engine: AsyncEngine) -> None:
    """Migrate; if a table is busy, continue from the last revision that was committed."""
    give_up_at = time.monotonic() + context.config.attributes.get("retry_seconds", 0)
    pause = FIRST_PAUSE
    while True:
        try:
            async with engine.connect() as connection:
                await connection.run_sync(run)
            return
        except DBAPIError as error:
            busy = getattr(error.orig, "sqlstate", None) in BUSY
            if not busy or time.monotonic() + pause > give_up_at:
                raise
        report(f"A table is busy; trying again in {pause:g} s.")
        await asyncio.sleep(pause)
        pause = min(pause * 2, LONGEST_PAUSE)


async def connect_and_run() -> None:
    """Migrate on own connections, without the service's pool and its timeouts."""
    url = context.config.get_main_option("sqlalchemy.url") or DatabaseSettings().database_url
    # Without named statements, so that it works behind a pooler, too.
    engine = create_async_engine(url, connect_args=NO_STATEMENT_CACHE | hosts.connect_args(url))
    set_timeouts_in_transactions(
        engine.sync_engine,
        {"lock_timeout": limits.LOCK_TIMEOUT, "statement_timeout": limits.STATEMENT_TIMEOUT},
    )
    try:
        await run_exclusively(engine)
    except DBAPIError as error:
        if unavailable := unavailable_error(error):
            raise unavailable from error
        raise
    finally:
        await engine.dispose()


def main() -> None:
    """Write an SQL script in offline mode, else migrate the database."""
    if context.is_offline_mode():
        context.configure(dialect_name="postgresql", target_metadata=metadata, literal_binds=True)
        with context.begin_transaction():
            context.run_migrations()
        return
    asyncio.run(connect_and_run())


main()
