"""The migrations lead from empty to head and back, and match the models."""

import asyncio

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

from app.database.engine import Database
from app.local import demo
from app.settings import Settings
from tests.support.databases import migrate
from tests.support.paths import ROOT


def alembic(url: str) -> Config:
    config = Config(ROOT / "alembic.ini")
    config.set_main_option("sqlalchemy.url", url.replace("%", "%%"))
    return config


async def objects(url: str) -> set[str]:
    """Name every relation and function that is not PostgreSQL's own."""
    engine = create_async_engine(url)
    async with engine.connect() as connection:
        rows = await connection.execute(
            text(
                "SELECT relname::text FROM pg_class WHERE relnamespace = 'public'::regnamespace"
                " UNION SELECT proname::text FROM pg_proc"
                " WHERE pronamespace = 'public'::regnamespace"
            )
        )
        names = set(rows.scalars())
    await engine.dispose()
    return names


@pytest.mark.usefixtures("redis_server")
async def test_upgrade_and_downgrade_leave_nothing(
    empty_database_url: str, redis_server: str
) -> None:
    config = alembic(empty_database_url)
    await asyncio.to_thread(migrate, empty_database_url)
    assert "invoice_items" in await objects(empty_database_url)
    settings = Settings(database_url=empty_database_url)
    database = Database(settings)
    assert (await demo.load(database, settings)).loaded
    await database.close()
    await asyncio.to_thread(command.downgrade, config, "base")
    assert await objects(empty_database_url) == {"alembic_version", "alembic_version_pkc"}
    await asyncio.to_thread(migrate, empty_database_url)


async def test_the_migrated_tables_match_the_models(database_url: str) -> None:
    await asyncio.to_thread(command.check, alembic(database_url))
