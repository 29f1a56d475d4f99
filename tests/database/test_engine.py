"""Connections: their errors, their timeouts, and the shares of the pool."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from app.database import timeouts
from app.database.engine import Database
from app.database.errors import DatabaseUnavailable
from app.settings import Settings
from tests.support.factories import Factories

LIMITS = ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout")


async def test_an_error_hides_the_parameters(database: Database) -> None:
    with pytest.raises(DBAPIError) as error:
        async with database.reading() as connection:
            await connection.execute(text("SELECT 1 / (length(:key) - 6)"), {"key": "geheim"})
    assert "division by zero" in str(error.value)
    assert "geheim" not in str(error.value)


async def shown(connection: AsyncConnection, *names: str) -> list[str]:
    return [(await connection.execute(text(f"SHOW {name}"))).scalar_one() for name in names]


async def test_every_session_has_timeouts_and_utc(database: Database) -> None:
    for kind in (database.reading, database.transaction, database.snapshot, database.streaming):
        async with kind() as connection:
            assert await shown(connection, *LIMITS, "TimeZone") == ["30s", "5s", "1min", "UTC"]


async def test_timeouts_are_disabled_for_one_transaction(settings: Settings) -> None:
    database = Database(settings.model_copy(update={"database_pool_size": 1}))
    async with database.transaction() as connection:
        await timeouts.disable_timeouts(connection)
        assert await shown(connection, *LIMITS) == ["0", "0", "0"]
    async with database.transaction() as connection:  # the same session
        assert await shown(connection, *LIMITS) == ["30s", "5s", "1min"]
    await database.close()


async def test_a_snapshot_is_consistent_and_read_only(database: Database, make: Factories) -> None:
    count = text("SELECT count(*) FROM users")
    async with database.snapshot() as connection:
        before = (await connection.execute(count)).scalar_one()
        await make.staff()
        assert (await connection.execute(count)).scalar_one() == before
        with pytest.raises(DatabaseUnavailable, match="read-only transaction"):
            async with database.snapshot() as another:
                await another.execute(text("DELETE FROM users"))
    async with database.snapshot() as connection:
        assert (await connection.execute(count)).scalar_one() == before + 1


async def test_an_idle_transaction_is_ended(
    settings: Settings,
    connection: AsyncConnection,
    make: Factories,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(timeouts, "IDLE_SECONDS", 1)
    user = await make.staff()
    change = text("UPDATE users SET full_name = :name WHERE id = :id")
    database = Database(settings)

    async def stand_still() -> None:
        async with database.transaction() as standing:
            await standing.execute(change, {"name": "late", "id": user.id})
            # This waits for the row until the server has ended the transaction that has it.
            await connection.execute(change, {"name": "next", "id": user.id})
            await standing.execute(text("SELECT 1"))

    with pytest.raises(DatabaseUnavailable):
        await stand_still()
    async with database.reading() as reading:
        names = text("SELECT full_name FROM users WHERE id = :id")
        assert (await reading.execute(names, {"id": user.id})).scalar_one() == "next"
    await database.close()


@pytest.fixture
async def four(settings: Settings) -> AsyncIterator[Database]:
    """A pool of four connections, for which one waits a second."""
    database = Database(
        settings.model_copy(update={"database_pool_size": 4, "database_pool_timeout": 1})
    )
    yield database
    await database.close()


async def test_streams_leave_half_of_the_pool_free(four: Database) -> None:
    async with AsyncExitStack() as streams:
        for _ in range(2):
            await streams.enter_async_context(four.streaming())
        async with asyncio.timeout(60):
            with pytest.raises(DatabaseUnavailable, match="too many responses are being streamed"):
                await streams.enter_async_context(four.streaming())
            async with four.reading(), four.transaction() as connection:
                await connection.execute(text("SELECT 1"))
    async with four.streaming(), four.streaming():
        pass


async def test_a_stream_waits_for_a_slot(four: Database) -> None:
    async def stream() -> None:
        async with four.streaming():
            pass

    async with AsyncExitStack() as streams:
        for _ in range(2):
            await streams.enter_async_context(four.streaming())
        waiting, given_up = (asyncio.create_task(stream()) for _ in range(2))
        await asyncio.sleep(0.1)
        assert not waiting.done()
        given_up.cancel()
        await asyncio.wait([given_up])
    await waiting
    async with four.streaming(), four.streaming():  # no place was lost
        pass


async def test_a_slot_is_released_if_connecting_fails(four: Database) -> None:
    async with AsyncExitStack() as stack:
        for _ in range(4):
            await stack.enter_async_context(four.transaction())
        for _ in range(3):
            with pytest.raises(DatabaseUnavailable):
                await stack.enter_async_context(four.streaming())
    async with four.streaming(), four.streaming():
        pass


async def test_a_pool_of_one_can_stream(settings: Settings) -> None:
    database = Database(settings.model_copy(update={"database_pool_size": 1}))
    async with database.streaming() as connection:
        assert (await connection.execute(text("SELECT 1"))).scalar_one() == 1
    await database.close()
