"""The checks of the schema."""

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from app.database.engine import Database
from app.doctor import schema
from app.doctor.check_result import Level
from app.settings import Settings
from tests.doctor.results import collect, is_well, only


async def test_a_migrated_database_is_well(database: Database, settings: Settings) -> None:
    assert await schema.has_tables(database)
    for check in (schema.revision, schema.indexes, schema.triggers):
        assert is_well(await collect(check(database, settings))), check


async def test_a_missing_index_is_reported(
    database: Database, settings: Settings, connection: AsyncConnection
) -> None:
    await connection.execute(text("DROP INDEX ix_outbox_open_due_at"))
    message = only(await collect(schema.indexes(database, settings)), Level.WRONG)
    assert "ix_outbox_open_due_at of outbox is missing" in message


async def test_an_invalid_index_is_reported(
    database: Database, settings: Settings, connection: AsyncConnection
) -> None:
    await connection.execute(
        text(
            "UPDATE pg_index SET indisvalid = false"
            " WHERE indexrelid = 'ix_outbox_open_due_at'::regclass"
        )
    )
    message = only(await collect(schema.indexes(database, settings)), Level.WRONG)
    assert "REINDEX INDEX CONCURRENTLY ix_outbox_open_due_at" in message


async def test_missing_and_disabled_triggers_are_reported(
    database: Database, settings: Settings, connection: AsyncConnection
) -> None:
    await connection.execute(text("ALTER TABLE invoices DISABLE TRIGGER revise"))
    await connection.execute(text("DROP TRIGGER keep_totals_on_insert ON invoice_items"))
    results = await collect(schema.triggers(database, settings))
    assert [(each.level, each.message) for each in results] == [
        (Level.WRONG, "the trigger keep_totals_on_insert of invoice_items is missing"),
        (Level.WRONG, "the trigger revise of invoices is disabled"),
    ]


CHANGED = """
CREATE OR REPLACE FUNCTION refuse_to_rewrite_history() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RETURN NULL;
END
$$
"""


async def test_a_changed_function_is_reported(
    database: Database, settings: Settings, connection: AsyncConnection
) -> None:
    await connection.execute(text(CHANGED))
    message = only(await collect(schema.triggers(database, settings)), Level.WRONG)
    assert "the function refuse_to_rewrite_history differs from this release's" in message


async def test_a_newer_release_may_have_changed_a_function(
    database: Database, settings: Settings, connection: AsyncConnection
) -> None:
    await connection.execute(text(CHANGED))
    await connection.execute(text("UPDATE alembic_version SET version_num = 'of tomorrow'"))
    assert is_well(await collect(schema.triggers(database, settings)))


@pytest.mark.parametrize(
    ("statement", "level", "message"),
    [
        ("UPDATE alembic_version SET version_num = 'of tomorrow'", Level.WARNING, "newer"),
        ("UPDATE alembic_version SET version_num = '0001'", Level.WRONG, "app migrate"),
        ("DROP TABLE alembic_version", Level.WRONG, "not migrated"),
    ],
)
async def test_another_revision_is_reported(
    database: Database, settings: Settings, statement: str, level: Level, message: str
) -> None:
    async with database.transaction() as connection:
        await connection.execute(text(statement))
    assert message in only(await collect(schema.revision(database, settings)), level)


async def test_an_empty_database_has_no_tables(settings: Settings, empty_database_url: str) -> None:
    database = Database(settings.model_copy(update={"database_url": empty_database_url}))
    assert not await schema.has_tables(database)
    await database.close()
