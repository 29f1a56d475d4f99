"""COPY of lines to the client."""

from contextlib import aclosing

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from app.database.copying import copy_lines
from app.database.engine import Database

_LONG = text("SELECT to_json(repeat('x', 10000)) FROM generate_series(1, 2000)")


async def test_copied_lines_are_the_json_without_another_escape(database: Database) -> None:
    values = text("""SELECT to_json(v) FROM (VALUES (E'a"b\\\\,\\n\\x01\\x02 é'), ('')) AS g (v)""")
    async with database.reading() as connection:
        copied = b"".join([piece async for piece in copy_lines(connection, values)])
    assert copied == '"a\\"b\\\\,\\n\\u0001\\u0002 é"\n""\n'.encode()


async def test_a_copy_whose_reader_fails_leaves_a_usable_pool(
    database: Database,
) -> None:
    async def fail_after_the_first_piece() -> None:
        async with (
            database.snapshot() as connection,
            aclosing(copy_lines(connection, _LONG)) as pieces,
        ):
            async for _ in pieces:
                raise BrokenPipeError

    with pytest.raises(BrokenPipeError):
        await fail_after_the_first_piece()
    async with database.snapshot() as connection:
        assert (await connection.execute(text("SELECT 1"))).scalar_one() == 1


async def test_an_error_of_the_server_amid_a_copy_is_raised_after_the_lines_before_it(
    database: Database,
) -> None:
    failing = text("SELECT to_json(1000 / (1000 - n)) FROM generate_series(1, 2000) AS n")
    async with database.snapshot() as connection:
        with pytest.raises(DBAPIError, match="division by zero"):
            _ = [piece async for piece in copy_lines(connection, failing)]
        await connection.rollback()
