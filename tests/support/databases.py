"""The databases of the server that the tests use."""

from sqlalchemy import make_url, text
from sqlalchemy.ext.asyncio import create_async_engine

from app.settings import DatabaseSettings

FOLLOWING = {
    "currency",
    "reference_revision",
    "invoice_tallies",
    "customer_year_totals",
    "invoice_changes",
    "invoice_history",
}
"""Tables that follow from what happens to other tables, or from the settings."""


def url_of_database(name: str) -> str:
    """Return the address of a database of the server."""
    return make_url(_server_url()).set(database=name).render_as_string(hide_password=False)


async def administer(*statements: str) -> None:
    """Execute statements outside of any transaction."""
    engine = create_async_engine(_server_url(), isolation_level="AUTOCOMMIT")
    try:
        async with engine.connect() as connection:
            for statement in statements:
                await connection.execute(text(statement))
    finally:
        await engine.dispose()


def _server_url() -> str:
    return DatabaseSettings().database_url
