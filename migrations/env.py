"""How Alembic reaches the database: the same settings and metadata as the service."""

import asyncio

from alembic import context
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import create_async_engine

from app.database.engine import WITHOUT_NAMES
from app.database.failures import working
from app.settings import DatabaseSettings
from app.tables import metadata

# Two instances that start at once must not migrate at once; the number only has to be our own.
MIGRATION_LOCK = 4_812_201_900_417
LOCK_TIMEOUT = "10s"


def run(connection: Connection) -> None:
    """Migrate over one connection, under the lock, in one transaction."""
    context.configure(
        connection=connection,
        target_metadata=metadata,
        compare_type=True,
        compare_server_default=True,
    )
    with context.begin_transaction():
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": MIGRATION_LOCK})
        connection.execute(text(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'"))
        context.run_migrations()


async def connect_and_run() -> None:
    """Open a connection of our own, outside the service's pool and its statement timeout."""
    url = context.config.get_main_option("sqlalchemy.url") or DatabaseSettings().database_url
    # Without named statements, so that a pooler in between does not matter.
    engine = create_async_engine(url, connect_args=WITHOUT_NAMES)
    try:
        with working():
            async with engine.connect() as connection:
                await connection.run_sync(run)
    finally:
        await engine.dispose()


def main() -> None:
    """Choose between a script of SQL and a live migration."""
    if context.is_offline_mode():
        context.configure(dialect_name="postgresql", target_metadata=metadata, literal_binds=True)
        with context.begin_transaction():
            context.run_migrations()
        return
    connection = context.config.attributes.get("connection")
    if connection is not None:
        run(connection)
    else:
        asyncio.run(connect_and_run())


main()
