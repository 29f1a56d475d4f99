"""A Waldur of our own, and the records that an import made of it."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from app.database.engine import Database
from app.dataio.waldur.import_report import WaldurImportReport
from app.dataio.waldur.importer import import_waldur_database
from app.models import metadata
from app.settings import Settings
from tests.support import waldur_sample, waldur_schema
from tests.support.databases import FOLLOWING, url_of_database
from tests.support.waldur import create_waldur

Import = Callable[[], Awaitable[WaldurImportReport]]
Dump = dict[str, list[dict[str, Any]]]


@asynccontextmanager
async def _create(administrator: AsyncConnection, options: str = "") -> AsyncIterator[str]:
    name = f"waldur_{uuid4().hex}"
    await administrator.execute(text(f"CREATE DATABASE {name} {options}"))
    try:
        yield name
    finally:
        await administrator.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))


@pytest.fixture(scope="session")
async def sample_database(administrator: AsyncConnection) -> AsyncIterator[str]:
    """The name of a Waldur database with the sample in it, for cloning."""
    async with _create(administrator) as name:
        url = url_of_database(name)
        await create_waldur(url, waldur_schema.COLUMNS, waldur_sample.rows())
        yield name


@pytest.fixture
async def waldur(administrator: AsyncConnection, sample_database: str) -> AsyncIterator[str]:
    """The address of a Waldur database of the test's own with the sample in it."""
    clone = f"TEMPLATE {sample_database} STRATEGY FILE_COPY"
    async with _create(administrator, clone) as name:
        yield url_of_database(name)


@pytest.fixture
def bring(waldur: str, database: Database, settings: Settings) -> Import:
    """Import from the Waldur into the test's database."""

    async def bring() -> WaldurImportReport:
        return await import_waldur_database(waldur, database, settings)

    return bring


async def dump(connection: AsyncConnection) -> Dump:
    """Return every row of every table here, but for those that follow from others."""
    found = {}
    for table in metadata.sorted_tables:
        if table.name in FOLLOWING:
            continue
        rows = await connection.execute(text(f"SELECT * FROM {table.name} ORDER BY 1, 2"))
        found[table.name] = [dict(row) for row in rows.mappings()]
    return found
