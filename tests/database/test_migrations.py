"""The migrations lead from empty to head and back, and match the models."""

import asyncio

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

from app.audit.actor import Actor
from app.audit.verify import VerificationResult, verify
from app.audit.writer import audited_transaction
from app.billing.enums import InvoiceState
from app.database.engine import Database
from app.invoices.jobs.freeze_issued import freeze_issued
from app.local import demo
from app.settings import Settings
from tests.support.databases import migrate
from tests.support.factories import Factories
from tests.support.frozen import frozen_documents
from tests.support.paths import ROOT


def alembic(url: str) -> Config:
    config = Config(ROOT / "alembic.ini")
    config.set_main_option("sqlalchemy.url", url.replace("%", "%%"))
    return config


async def objects(url: str) -> set[str]:
    """Name every relation and function that is not PostgreSQL's own."""
    engine = create_async_engine(url)
    async with engine.connect() as connection:
        rows = await connection.execute(
            text(
                "SELECT relname::text FROM pg_class WHERE relnamespace = 'public'::regnamespace"
                " UNION SELECT proname::text FROM pg_proc"
                " WHERE pronamespace = 'public'::regnamespace"
            )
        )
        names = set(rows.scalars())
    await engine.dispose()
    return names


@pytest.mark.usefixtures("redis_server")
async def test_upgrade_and_downgrade_leave_nothing(
    empty_database_url: str, redis_server: str
) -> None:
    config = alembic(empty_database_url)
    await asyncio.to_thread(migrate, empty_database_url)
    assert "invoice_items" in await objects(empty_database_url)
    settings = Settings(database_url=empty_database_url)
    database = Database(settings)
    assert (await demo.load(database, settings)).loaded
    await database.close()
    await asyncio.to_thread(command.downgrade, config, "base")
    assert await objects(empty_database_url) == {"alembic_version", "alembic_version_pkc"}
    await asyncio.to_thread(migrate, empty_database_url)


async def test_the_migrated_tables_match_the_models(database_url: str) -> None:
    await asyncio.to_thread(command.check, alembic(database_url))


@pytest.mark.usefixtures("redis_server")
async def test_credits_keep_their_values_up_and_down(empty_database_url: str) -> None:
    config = alembic(empty_database_url)
    await asyncio.to_thread(command.upgrade, config, "0014")
    engine = create_async_engine(empty_database_url)
    async with engine.begin() as connection:
        await connection.execute(
            text(
                "WITH customers AS (INSERT INTO customers (uuid, name, accounting_start_date,"
                " archived, created_at, default_tax_percent) SELECT gen_random_uuid(), 'C', now(),"
                " false, now(), 0 FROM generate_series(1, 2) RETURNING id)"
                " INSERT INTO customer_credits (uuid, customer_id, value, minimal_consumption,"
                " minimal_consumption_logic, created_at)"
                " SELECT gen_random_uuid(), id, value, minimal, logic, now()"
                " FROM (SELECT id, row_number() OVER (ORDER BY id) AS place FROM customers) AS c"
                " JOIN (VALUES (1, 7.5, 2.5, 'linear'), (2, -3, 0, '')) AS given"
                " (place, value, minimal, logic) USING (place)"
            )
        )
    await asyncio.to_thread(command.upgrade, config, "0015")
    columns = "value::text, expected_consumption::text, minimal_consumption_logic"
    async with engine.connect() as connection:
        found = await connection.execute(
            text(f"SELECT {columns} FROM customer_credits ORDER BY id")
        )
        assert [tuple(row) for row in found] == [
            ("7.50000", "2.50000", "linear"),
            ("0.00000", "0.00000", "fixed"),
        ]
        ledger = text("SELECT amount::text, transaction_type FROM credit_transactions")
        assert (await connection.execute(ledger)).one() == ("3.00000", "adjustment")
    await asyncio.to_thread(command.downgrade, config, "0014")
    async with engine.connect() as connection:
        kept = text("SELECT minimal_consumption::text FROM customer_credits ORDER BY id LIMIT 1")
        assert (await connection.execute(kept)).scalar_one() == "2.50000"
    await engine.dispose()


async def test_issued_invoices_are_frozen_again_after_a_downgrade(
    database: Database, settings: Settings
) -> None:
    actor = Actor("test")
    async with audited_transaction(database, settings.audit_key, actor) as connection:
        make = Factories(connection)
        invoice = await make.invoice(await make.customer(), state=InvoiceState.CREATED)
        await make.item(invoice, "10")
        await make.freeze(settings, invoice)
    async with audited_transaction(database, settings.audit_key, actor) as connection:
        await connection.execute(text("UPDATE invoices SET payment_url = 'https://pay.example'"))
    before = await frozen_documents(database)
    await database.close()
    config = alembic(settings.database_url)
    await asyncio.to_thread(command.downgrade, config, "0026")
    await asyncio.to_thread(command.upgrade, config, "head")
    assert await frozen_documents(database) == []
    assert (await freeze_issued(database, settings)).counts == {"frozen": 1}
    assert await frozen_documents(database) == before
    found = [str(each) async for each in verify(database, settings, VerificationResult())]
    assert found == []
