"""How Alembic reaches the database: the same settings and metadata as the service.

Each revision is a transaction of its own, under the limits of `migrations.limits`. One that meets
a busy table is begun again after a pause, so that requests get through in between.
"""

import asyncio
import time
from collections.abc import Callable
from typing import Final

from alembic import context
from sqlalchemy import Connection, func, select, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from app.database import import_lock
from app.database.errors import translate_statement_errors
from app.database.statements import NO_STATEMENT_CACHE
from app.database.timeouts import set_timeouts_in_transactions
from app.models import metadata
from app.settings import DatabaseSettings
from migrations import limits

# Two instances that start at once must not migrate at once; the number only has to be our own.
MIGRATION_LOCK: Final = 4_812_201_900_417
BUSY: Final = ("55P03", "40P01")
"""SQLSTATE: a lock not to be had in time; a deadlock that the migration lost."""
FIRST_PAUSE: Final = 0.5
LONGEST_PAUSE: Final = 8.0
"""Seconds between two attempts, doubled each time."""


def run(connection: Connection) -> None:
    """Migrate over one connection, one transaction for each revision."""
    context.configure(
        connection=connection,
        target_metadata=metadata,
        compare_type=True,
        compare_server_default=True,
        transaction_per_migration=True,
    )
    with context.begin_transaction():
        context.run_migrations()


async def run_in_turn(engine: AsyncEngine) -> None:
    """Migrate once no other instance does.

    The turn is a lock of a transaction that stays open meanwhile on a connection of its own: one
    of a session would be lost behind a pooler, and one of the migration's with its first commit.
    Who waits or has the turn keeps no snapshot: an index that is made concurrently would wait for
    the end of it, and so for itself.

    An import is waited for, and none begins meanwhile: it locks tables in an order of its own, and
    one of the two could be ended by a deadlock.
    """
    lock = select(func.pg_try_advisory_xact_lock(MIGRATION_LOCK))
    async with engine.connect() as turn:
        while not (await turn.execute(lock)).scalar_one():
            await turn.rollback()
            await asyncio.sleep(FIRST_PAUSE)
        await keep_import_out(turn)
        # Being no query, it also ends the snapshot of the one before.
        await turn.execute(text("SET LOCAL idle_in_transaction_session_timeout = 0"))
        await run_patiently(engine)


async def keep_import_out(turn: AsyncConnection) -> None:
    """Wait until no import runs, and let none begin until the turn ends."""
    is_told = False
    while not await import_lock.try_lock_out_imports(turn):
        if not is_told:
            tell("An import is running; waiting for its end.")
        is_told = True
        await asyncio.sleep(FIRST_PAUSE)


def tell(line: str) -> None:
    """Tell the person who migrates, where somebody listens."""
    listener: Callable[[str], None] | None = context.config.attributes.get("tell")
    if listener is not None:
        listener(line)


async def run_patiently(engine: AsyncEngine) -> None:
    """Migrate; where a table is busy, go on from the last revision that was reached."""
    until = time.monotonic() + context.config.attributes.get("patience", 0)
    pause = FIRST_PAUSE
    while True:
        try:
            async with engine.connect() as connection:
                await connection.run_sync(run)
            return
        except DBAPIError as error:
            busy = getattr(error.orig, "sqlstate", None) in BUSY
            if not busy or time.monotonic() + pause > until:
                raise
        tell(f"A table is busy; trying again in {pause:g} s.")
        await asyncio.sleep(pause)
        pause = min(pause * 2, LONGEST_PAUSE)


async def connect_and_run() -> None:
    """Open connections of our own, outside the service's pool and its limits."""
    url = context.config.get_main_option("sqlalchemy.url") or DatabaseSettings().database_url
    # Without named statements, so that a pooler in between does not matter.
    engine = create_async_engine(url, connect_args=NO_STATEMENT_CACHE)
    set_timeouts_in_transactions(
        engine.sync_engine,
        {"lock_timeout": limits.LOCK_TIMEOUT, "statement_timeout": limits.STATEMENT_TIMEOUT},
    )
    try:
        with translate_statement_errors():
            await run_in_turn(engine)
    finally:
        await engine.dispose()


def main() -> None:
    """Choose between a script of SQL and a live migration."""
    if context.is_offline_mode():
        context.configure(dialect_name="postgresql", target_metadata=metadata, literal_binds=True)
        with context.begin_transaction():
            context.run_migrations()
        return
    asyncio.run(connect_and_run())


main()
