"""The deadline of a request ends work that hangs, but not work that progresses."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import asyncpg  # type: ignore[import-untyped]  # it has no types
import pytest
from asyncpg.prepared_stmt import PreparedStatement  # type: ignore[import-untyped]
from sqlalchemy import text

from app.database.deadline import request_deadline, restart_deadline_after_each
from app.database.engine import Database
from app.database.errors import DatabaseUnavailable

SECONDS = 0.4


async def parts() -> AsyncIterator[int]:
    for number in range(4):
        await asyncio.sleep(SECONDS / 2)
        yield number


async def test_a_stream_that_progresses_may_take_longer(database: Database) -> None:
    with request_deadline(SECONDS, counts_all_time=False):
        async with database.transaction() as connection:
            assert [part async for part in restart_deadline_after_each(parts())] == [0, 1, 2, 3]
            assert (await connection.execute(text("SELECT 1"))).scalar_one() == 1
        async with database.reading() as connection:
            assert (await connection.execute(text("SELECT 1"))).scalar_one() == 1


async def whole(database: Database) -> None:
    async with database.transaction() as connection:
        assert [part async for part in parts()] == [0, 1, 2, 3]
        await connection.execute(text("SELECT 1"))


async def test_a_statement_beyond_the_deadline_is_terminated(database: Database) -> None:
    with request_deadline(SECONDS, counts_all_time=False), pytest.raises(DatabaseUnavailable):
        await whole(database)
    await whole(database)


async def test_a_statement_is_terminated_while_it_waits_to_be_prepared(
    database: Database,
) -> None:
    async with database.transaction() as locking:
        await locking.execute(text("LOCK TABLE payments IN ACCESS EXCLUSIVE MODE"))
        with request_deadline(SECONDS, counts_all_time=True), pytest.raises(DatabaseUnavailable):
            async with database.reading() as reader:
                await reader.execute(text("SELECT id FROM payments"))


async def test_a_connection_is_terminated_between_two_steps_of_a_statement(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def prepare_slowly(
        self: asyncpg.Connection, query: str, **options: Any
    ) -> PreparedStatement:
        prepared = await prepare(self, query, **options)
        await asyncio.sleep(SECONDS)
        return prepared

    prepare = asyncpg.Connection.prepare
    async with database.reading():  # the pool keeps the connection
        monkeypatch.setattr(asyncpg.Connection, "prepare", prepare_slowly)
    with request_deadline(SECONDS, counts_all_time=True), pytest.raises(DatabaseUnavailable):
        async with database.reading() as reader:
            await reader.execute(text("SELECT 1 AS prepared_slowly"))


async def test_another_fault_is_not_taken_for_a_lost_connection(database: Database) -> None:
    with request_deadline(60, counts_all_time=True), pytest.raises(AttributeError):
        async with database.reading():
            raise AttributeError
