"""The deadline of a request ends work that hangs, but not work that progresses."""

import asyncio
from collections.abc import AsyncIterator

import pytest
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
