"""Direct selects return the rows of SQLAlchemy's own execution, and raise its errors."""

import pytest
from sqlalchemy import BigInteger, Text, bindparam, cast, func, literal, select, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from app.catalogue.models import Category
from app.database.deadline import request_deadline
from app.database.engine import Database, DirectSelect
from app.database.errors import ConnectionLost, DatabaseUnavailable
from app.settings import Settings
from tests.support.factories import Factories

TITLES = DirectSelect(
    select(Category.id, Category.title, literal(7).label("seven"))
    .where(Category.title == bindparam("title", type_=Text()))
    .order_by(Category.id)
)
SLEEP = DirectSelect(select(cast(func.pg_sleep(bindparam("seconds")), Text)))
RATIO = DirectSelect(select(1 / bindparam("divisor", type_=BigInteger())))
JSON = DirectSelect(select(cast(literal('{"a": [1]}'), JSONB).label("value")))


async def test_rows_are_read_by_name_in_and_outside_of_transactions(
    make: Factories, database: Database
) -> None:
    category = await make.category(title="Compute")
    for connect in (database.reading, database.transaction, database.snapshot):
        async with connect() as connection:
            (row,) = await TITLES.fetch(connection, {"title": "Compute"})
            assert (row["id"], row["title"], row["seven"]) == (category.id, "Compute", 7)
            assert not await TITLES.fetch(connection, {"title": "Storage"})


async def test_a_transaction_sees_its_own_changes(database: Database) -> None:
    async with database.transaction() as connection:
        assert not await TITLES.fetch(connection, {"title": "New"})
        await connection.execute(
            text("INSERT INTO categories (uuid, title) VALUES (gen_random_uuid(), 'New')")
        )
        assert len(await TITLES.fetch(connection, {"title": "New"})) == 1
        await connection.rollback()
    async with database.reading() as connection:
        assert not await TITLES.fetch(connection, {"title": "New"})


async def test_a_column_of_json_is_read(database: Database) -> None:
    async with database.reading() as connection:
        (row,) = await JSON.fetch(connection, {})
    assert row["value"] == {"a": [1]}


async def test_an_error_of_the_statement_is_raised(database: Database) -> None:
    with pytest.raises(DBAPIError) as raised:
        async with database.reading() as connection:
            await RATIO.fetch(connection, {"divisor": 0})
    assert "division by zero" in str(raised.value)
    assert not isinstance(raised.value, DatabaseUnavailable)
    async with database.reading() as connection:
        assert await RATIO.fetch(connection, {"divisor": 1})


async def test_a_timeout_means_that_the_database_is_unavailable(settings: Settings) -> None:
    database = Database(settings.model_copy(update={"database_statement_timeout": 0.1}))
    try:
        with pytest.raises(DatabaseUnavailable):
            async with database.reading() as connection:
                await SLEEP.fetch(connection, {"seconds": 5.0})
    finally:
        await database.close()


async def test_a_lost_connection_is_replaced(
    database: Database, connection: AsyncConnection
) -> None:
    async with database.reading() as reader:
        pid = (await reader.execute(text("SELECT pg_backend_pid()"))).scalar_one()
    await connection.execute(text("SELECT pg_terminate_backend(:pid, 5000)"), {"pid": pid})
    with pytest.raises(ConnectionLost):
        async with database.reading() as reader:
            await TITLES.fetch(reader, {"title": "Compute"})
    async with database.reading() as reader:
        assert not await TITLES.fetch(reader, {"title": "Compute"})


async def test_a_lost_connection_replaces_the_others_of_its_pool(
    database: Database, connection: AsyncConnection
) -> None:
    async with database.reading() as first, database.reading() as second:
        pids = [
            (await reader.execute(text("SELECT pg_backend_pid()"))).scalar_one()
            for reader in (first, second)
        ]
    for pid in pids:
        await connection.execute(text("SELECT pg_terminate_backend(:pid, 5000)"), {"pid": pid})
    with pytest.raises(ConnectionLost):
        async with database.reading() as reader:
            await TITLES.fetch(reader, {"title": "Compute"})
    for _ in pids:
        async with database.reading() as reader:
            assert not await TITLES.fetch(reader, {"title": "Compute"})


async def test_the_deadline_ends_a_statement(database: Database) -> None:
    with request_deadline(0.2, counts_all_time=True), pytest.raises(ConnectionLost):
        async with database.reading() as connection:
            await SLEEP.fetch(connection, {"seconds": 5.0})
