"""An import beside the jobs that change many invoices: it never ends by a deadlock with them."""

import asyncio
from collections.abc import Awaitable
from datetime import UTC, date, datetime
from typing import Any, cast
from uuid import UUID

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import insert, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from app import clock
from app.audit.backfill import backfill
from app.billing.enums import InvoiceState
from app.billing.periods import Period
from app.customers.models import Customer
from app.database.engine import Database
from app.dataio.loader import Loader, import_transaction
from app.dataio.records.identity import UserRecord
from app.dataio.records.invoices import InvoiceRecord
from app.dataio.records.record import Record
from app.identity.models import User
from app.invoices.jobs.close_month import close_month
from app.invoices.jobs.reconcile_totals import reconcile_totals
from app.invoices.jobs.summaries import advance_year_totals, merge_summaries
from app.invoices.models import Invoice, InvoiceItem
from app.outbox.outcome import RetryAfter
from app.settings import Settings
from tests.dataio.record_factories import build_item
from tests.support.commands import run_process
from tests.support.factories import Factories, Row
from tests.support.history import KEY
from tests.support.worker import until

NOVEMBER, OCTOBER = Period(2026, 11), Period(2026, 10)
DETECTED_WITHIN = 1.5
"""Seconds within which PostgreSQL ends one of two transactions that wait for each other."""


@pytest.fixture(autouse=True)
def _november() -> None:
    clock.freeze(datetime(2026, 11, 2, tzinfo=UTC))


async def uuid_of(connection: AsyncConnection, table: Any, row: Row) -> UUID:
    found = await connection.execute(select(table.uuid).where(table.id == row.id))
    return cast(UUID, found.scalar_one())


async def invoice_of(connection: AsyncConnection, customer: Row, period: Period) -> InvoiceRecord:
    """Return the record of a pending invoice of a customer that is there."""
    return InvoiceRecord(
        uuid=UUID(int=customer.id * 10_000 + period.year * 12 + period.month),
        customer=await uuid_of(connection, Customer, customer),
        year=period.year,
        month=period.month,
        created=date(2026, 11, 1),
    )


async def write(loader: Loader, *written: Record) -> None:
    for record in written:
        await loader.add(record)
    await loader.flush()


async def settled(job: Awaitable[object]) -> object:
    """Return what a job returned or raised."""
    (outcome,) = await asyncio.gather(job, return_exceptions=True)
    return outcome


async def test_the_close_of_the_month_is_postponed_while_an_import_runs(
    make: Factories, database: Database, settings: Settings, connection: AsyncConnection
) -> None:
    first, second = await make.customer(), await make.customer()
    overdue = await make.invoice(second, OCTOBER)
    await make.item(overdue)
    async with import_transaction(database, settings) as loader:
        await write(loader, await invoice_of(connection, second, NOVEMBER))
        closing = asyncio.create_task(close_month(database, settings))
        await asyncio.sleep(0.3)
        await write(loader, await invoice_of(connection, first, NOVEMBER))
        outcome = await settled(closing)
    assert isinstance(outcome, RetryAfter)
    assert outcome.reason == "an import is running"
    state = select(Invoice.state).where(Invoice.id == overdue.id)
    assert (await connection.execute(state)).scalar_one() == InvoiceState.PENDING
    assert (await close_month(database, settings)).counts == {"issued": 1}


async def test_an_import_waits_for_a_running_close_of_the_month(
    make: Factories, database: Database, settings: Settings, connection: AsyncConnection
) -> None:
    first, second = await make.customer(), await make.customer()
    record = await invoice_of(connection, first, NOVEMBER)
    async with database.transaction() as another:  # holds the close up at the second customer
        await another.execute(
            insert(Invoice).values(
                customer_id=second.id,
                year=2026,
                month=11,
                tax_percent=20,
                created=date(2026, 11, 1),
            )
        )
        closing = asyncio.create_task(close_month(database, settings))
        await until(lambda: _waits(connection, "INSERT INTO invoices"))

        async def run() -> None:
            async with import_transaction(database, settings) as loader:
                await loader.add(record)

        running = asyncio.create_task(run())
        await until(lambda: _waits(connection, "SELECT pg_advisory_xact_lock"))
    summary = await closing
    assert summary.counts == {"opened": 1}
    # The invoice of that month is there now, so the import's own is refused as one too many.
    outcome = await settled(running)
    assert "rejected records" in str(outcome)


async def _waits(connection: AsyncConnection, statement: str) -> bool:
    waiting = text(
        "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
        " AND datname = current_database() AND query LIKE :statement)"
    )
    found = await connection.execute(waiting, {"statement": f"{statement}%"})
    return bool(found.scalar_one())


async def test_totals_are_repaired_after_the_import(
    make: Factories, database: Database, settings: Settings, connection: AsyncConnection
) -> None:
    customer = await make.customer()
    drifted = await make.invoice(customer, OCTOBER)
    await make.item(drifted)
    await connection.execute(update(Invoice).values(total_price=Invoice.total_price + 1))
    record = await invoice_of(connection, customer, NOVEMBER)
    charge = build_item(record).model_copy(
        update={"invoice": await uuid_of(connection, Invoice, drifted)}
    )
    async with import_transaction(database, settings) as loader:
        await write(loader, record)
        mending = asyncio.create_task(reconcile_totals(database, settings.audit_key))
        await asyncio.sleep(0.3)
        await write(loader, charge)
        outcome = await settled(mending)
    assert isinstance(outcome, RetryAfter)
    assert (await reconcile_totals(database, settings.audit_key)).counts == {"repaired": 1}


async def test_audit_adopt_waits_for_the_import(
    make: Factories, database: Database, settings: Settings, connection: AsyncConnection
) -> None:
    customer = await make.customer()
    invoices = [await make.invoice(customer, period) for period in (OCTOBER, NOVEMBER)]
    for each in invoices:
        await make.item(each)
    items = (await connection.execute(select(InvoiceItem.uuid).order_by(InvoiceItem.id))).scalars()
    charges = [
        build_item(await invoice_of(connection, customer, OCTOBER), uuid=uuid).model_copy(
            update={"invoice": await uuid_of(connection, Invoice, each)}
        )
        for uuid, each in zip(items, invoices, strict=True)
    ]
    async with import_transaction(database, settings) as loader:
        await write(loader, charges[1])
        adopting = asyncio.create_task(backfill(database, KEY, "a test"))
        await asyncio.sleep(0.3)
        await write(loader, charges[0])
        await asyncio.sleep(DETECTED_WITHIN)
        assert not adopting.done()
    await asyncio.wait_for(adopting, 60)


async def test_a_migration_waits_for_the_import(database: Database, settings: Settings) -> None:
    environment = {
        "DATABASE_URL": settings.database_url,
        "AUDIT_KEY": KEY.get_secret_value(),
        "REDIS_URL": settings.redis_url,
    }
    async with import_transaction(database, settings):
        migrating = asyncio.create_task(asyncio.to_thread(run_process, "migrate", **environment))
        async with database.reading() as connection:
            await until(lambda: _migrates(connection))
        await asyncio.sleep(0.5)
        assert not migrating.done()
    answer = await migrating
    assert answer.returncode == 0, answer.stderr
    assert answer.stderr == "An import is running; waiting for its end.\n"


async def _migrates(connection: AsyncConnection) -> bool:
    waits = text(
        "SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND granted"
        " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
        " AND (classid::bigint << 32) + objid::bigint = 4812201900417)"
    )
    return bool((await connection.execute(waits)).scalar_one())


async def test_jobs_that_skip_locked_rows_run_during_an_import(
    make: Factories, database: Database, settings: Settings, connection: AsyncConnection
) -> None:
    """They lock only rows without a lock, so that they neither wait nor make others wait long."""
    customers = [await make.customer() for _ in range(3)]
    for each in customers:
        await make.item(await make.invoice(each, OCTOBER))
    await connection.execute(text("UPDATE customer_year_totals SET since = since - 1"))
    async with import_transaction(database, settings) as loader:
        for each in customers:
            await write(loader, await invoice_of(connection, each, NOVEMBER))
            with pytest.raises(RetryAfter):  # the sums that the import has changed wait
                await advance_year_totals(database)
            await merge_summaries(database)


async def test_a_payment_with_an_idempotency_key_locks_its_user_before_its_invoice(
    app: FastAPI, client: httpx.AsyncClient, make: Factories, connection: AsyncConnection
) -> None:
    """An import that renames the user goes on with the invoice; the payment is made after it."""
    staff = await make.staff()
    customer = await make.customer()
    invoice = await make.invoice(customer, OCTOBER, InvoiceState.CREATED)
    await make.profile(customer)
    user = (await connection.execute(select(User.__table__))).mappings().one()
    renamed = UserRecord(
        uuid=user["uuid"], username="renamed", is_staff=True, created_at=user["created_at"]
    )
    charge = build_item(await invoice_of(connection, customer, OCTOBER)).model_copy(
        update={"invoice": invoice.uuid}
    )
    settings: Settings = app.state.settings
    async with import_transaction(app.state.database, settings) as loader:
        await write(loader, renamed)
        paying = asyncio.create_task(
            client.post(
                f"/api/invoices/{invoice.uuid}/paid/",
                json={"date": "2026-11-01"},
                headers={**staff.headers, "Idempotency-Key": "1"},
            )
        )
        await until(lambda: _waits(connection, "SELECT pg_try_advisory_xact_lock"))
        await write(loader, charge)
    answer = await paying
    assert answer.status_code == 200, answer.text
