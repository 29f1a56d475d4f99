"""A Waldur of our own, and the records that an import made of it."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from app.database.engine import Database
from app.dataio.waldur.import_report import WaldurImportReport
from app.dataio.waldur.importer import import_waldur_database
from app.models import metadata
from app.settings import Settings
from tests.support import waldur_sample, waldur_schema
from tests.support.databases import FOLLOWING
from tests.support.waldur import create_waldur

Import = Callable[[], Awaitable[WaldurImportReport]]
Dump = dict[str, list[dict[str, Any]]]


@pytest.fixture
async def waldur(empty_database_url: str) -> str:
    """The address of a Waldur database with the sample in it."""
    await create_waldur(empty_database_url, waldur_schema.COLUMNS, waldur_sample.rows())
    return empty_database_url


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
