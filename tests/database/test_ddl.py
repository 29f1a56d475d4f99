"""The files of app/database/ddl equal the triggers and functions of a migrated database."""

from typing import Any, Final

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from app.database import ddl

FUNCTIONS: Final = text("""
SELECT oid::regprocedure::text, pg_get_functiondef(oid) FROM pg_proc
WHERE pronamespace = 'public'::regnamespace
    AND NOT EXISTS (SELECT FROM pg_depend WHERE objid = pg_proc.oid AND deptype = 'e')
""")
TRIGGERS: Final = text("""
SELECT tgrelid::regclass || '.' || tgname, pg_get_triggerdef(oid) FROM pg_trigger
WHERE NOT tgisinternal
""")


async def definitions(connection: AsyncConnection) -> dict[str, str]:
    """Return the text of each function and trigger, normalised, by its name."""
    rows = [row for query in (FUNCTIONS, TRIGGERS) for row in await connection.execute(query)]
    return {name: ddl.normalised(definition) for name, definition in rows}


async def execute_script(connection: AsyncConnection, script: str) -> None:
    """Execute several statements at once, which a prepared statement cannot hold."""
    raw: Any = await connection.get_raw_connection()
    await raw.driver_connection.execute(script)


async def drop_all(connection: AsyncConnection) -> None:
    functions = (await connection.execute(FUNCTIONS)).all()
    for signature, _ in functions:
        await connection.execute(text(f"DROP FUNCTION {signature} CASCADE"))


@pytest.fixture
async def migrated(connection: AsyncConnection) -> dict[str, str]:
    """The triggers and functions that the migrations have created."""
    return await definitions(connection)


async def test_the_files_create_what_the_migrations_create(
    connection: AsyncConnection, migrated: dict[str, str]
) -> None:
    await drop_all(connection)
    assert await definitions(connection) == {}
    await execute_script(connection, ddl.script())
    assert await definitions(connection) == migrated


async def test_a_changed_body_is_a_difference(
    connection: AsyncConnection, migrated: dict[str, str]
) -> None:
    await drop_all(connection)
    changed = ddl.script().replace("sum(price) AS price", "sum(abs(price)) AS price")
    await execute_script(connection, changed)
    assert await definitions(connection) != migrated


async def test_the_lists_of_names_are_complete(
    connection: AsyncConnection, migrated: dict[str, str]
) -> None:
    triggers = {f"{table}.{name}" for table, name in ddl.triggers()}
    functions = set(migrated) - triggers
    assert triggers < set(migrated)
    assert {signature.partition("(")[0] for signature in functions} == set(ddl.functions())


async def test_widening_the_amounts_leaves_the_triggers_as_they_were(
    connection: AsyncConnection, migrated: dict[str, str]
) -> None:
    await connection.execute(text("SELECT widen_amounts()"))
    assert await definitions(connection) == migrated


async def test_widening_the_taxes_leaves_the_triggers_as_they_were(
    connection: AsyncConnection, migrated: dict[str, str]
) -> None:
    await connection.execute(text("SELECT widen_taxes()"))
    await connection.execute(text("SELECT widen_taxes()"))
    assert await definitions(connection) == migrated


def test_normalised_sql_has_no_comments_and_one_space() -> None:
    assert ddl.normalised(" SELECT f(a,\n  b)  -- why\nFROM t ;\n") == "SELECT f(a,b)FROM t;"
