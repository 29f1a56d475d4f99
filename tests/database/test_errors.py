"""Errors of the server after which the same request may succeed later."""

from uuid import uuid4

import pytest
from sqlalchemy import make_url, text
from sqlalchemy.exc import DBAPIError

from app.database.engine import Database
from app.database.errors import DatabaseReadOnly, DatabaseUnavailable
from app.settings import Settings

PASSING = {
    "08006": "connection_failure",
    "25006": "read_only_sql_transaction",
    "25P03": "idle_in_transaction_session_timeout",
    "25P04": "transaction_timeout, since PostgreSQL 17",
    "40001": "serialization_failure, a conflict with recovery on a standby among them",
    "40P01": "deadlock_detected",
    "53100": "disk_full",
    "53200": "out_of_memory",
    "53300": "too_many_connections",
    "53400": "configuration_limit_exceeded, such as of temporary files",
    "55P03": "lock_not_available",
    "57014": "query_canceled",
    "57P01": "admin_shutdown",
    "57P03": "cannot_connect_now",
    "58030": "io_error",
}
LASTING = {
    "22012": "division_by_zero",
    "23505": "unique_violation",
    "42501": "insufficient_privilege",
    "XX000": "internal_error",
}


async def fail(database: Database, state: str) -> None:
    async with database.transaction() as connection:
        await connection.execute(
            text(f"DO $$ BEGIN RAISE EXCEPTION 'as asked' USING ERRCODE = '{state}'; END $$")
        )


@pytest.mark.parametrize("state", PASSING)
async def test_a_temporary_error_is_database_unavailable(database: Database, state: str) -> None:
    with pytest.raises(DatabaseUnavailable, match="as asked") as raised:
        await fail(database, state)
    assert isinstance(raised.value, DatabaseReadOnly) == (state == "25006")


@pytest.mark.parametrize("state", LASTING)
async def test_another_error_is_raised_unchanged(database: Database, state: str) -> None:
    with pytest.raises(DBAPIError, match="as asked"):
        await fail(database, state)


async def test_a_server_without_room_for_a_connection_is_unavailable(
    database: Database, settings: Settings
) -> None:
    url = make_url(settings.database_url)
    name = f"limited_{url.database}"
    async with database.reading() as connection:
        # Limits of connections do not bind superusers.
        await connection.execute(text(f"CREATE ROLE {name} LOGIN CONNECTION LIMIT 0"))
    its_url = url.set(username=name).render_as_string(hide_password=False)
    limited = Database(settings.model_copy(update={"database_url": its_url}))
    with pytest.raises(DatabaseUnavailable, match="too many connections"):
        async with limited.reading():
            pass
    await limited.close()
    async with database.reading() as connection:
        await connection.execute(text(f"DROP ROLE {name}"))


async def test_a_statement_whose_columns_changed_their_type_succeeds_at_the_next_attempt(
    settings: Settings, database: Database
) -> None:
    one = Database(settings.model_copy(update={"database_pool_size": 1}))
    name = f"retyped_{uuid4().hex}"

    async def read() -> int:
        async with one.transaction() as connection:
            return int((await connection.execute(text(f"SELECT tax FROM {name}"))).scalar_one())

    async with database.transaction() as connection:
        await connection.execute(text(f"CREATE TABLE {name} AS SELECT 5::numeric(4, 2) AS tax"))
    assert await read() == 5
    async with database.transaction() as connection:
        await connection.execute(text(f"ALTER TABLE {name} ALTER COLUMN tax TYPE numeric(5, 2)"))
    with pytest.raises(DatabaseUnavailable, match="cached statement plan is invalid"):
        await read()
    assert await read() == 5
    await one.close()
    async with database.transaction() as connection:
        await connection.execute(text(f"DROP TABLE {name}"))
