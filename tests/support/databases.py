"""The databases of the server that the tests use."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from alembic import command
from alembic.config import Config
from sqlalchemy import make_url, text
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine

from app.server_urls import postgresql_url
from tests.support.paths import ROOT

FOLLOWING = {
    "currency",
    "reference_revision",
    "invoice_tallies",
    "customer_year_totals",
    "row_counts",
    "invoice_changes",
    "invoice_history",
    "subject_changes",
    "subject_history",
    "subject_heads",
}
"""Tables that triggers or settings fill."""


def url_of_database(name: str, server: str | None = None) -> str:
    """Return the URL of a database; by default of the server at DATABASE_URL."""
    return make_url(_server_url(server)).set(database=name).render_as_string(hide_password=False)


def migrate(url: str, revision: str = "head") -> None:
    """Migrate a database to a revision."""
    config = Config(ROOT / "alembic.ini")
    config.set_main_option("sqlalchemy.url", url.replace("%", "%%"))
    command.upgrade(config, revision)


@asynccontextmanager
async def administration(server: str | None = None) -> AsyncIterator[AsyncConnection]:
    """Connect outside of a transaction; by default to the server at DATABASE_URL."""
    engine = create_async_engine(_server_url(server), isolation_level="AUTOCOMMIT")
    try:
        async with engine.connect() as connection:
            yield connection
    finally:
        await engine.dispose()


async def administer(*statements: str, server: str | None = None) -> None:
    """Execute statements outside of a transaction; by default on the server at DATABASE_URL."""
    async with administration(server) as connection:
        for statement in statements:
            await connection.execute(text(statement))


def _server_url(server: str | None) -> str:
    return postgresql_url(os.environ["DATABASE_URL"] if server is None else server)
