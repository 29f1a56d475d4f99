"""The jobs of the registry, run by a runner."""

import os
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import func, insert, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from app import clock
from app.billing.enums import InvoiceState
from app.billing.periods import Period, one_year_before
from app.database.engine import Database
from app.deliveries.models import Delivery
from app.idempotency.models import StoredResponse
from app.invoices.models import CustomerYearTotal, Invoice, InvoiceSummary, LinesRepresentation
from app.jobs.registry import build_registry
from app.jobs.runner import JobRun, JobRunner
from app.notifications.sending import Sender
from app.outbox import repository as outbox
from app.outbox.models import OutboxEntry
from app.settings import Settings
from tests.support.factories import Factories
from tests.support.summaries import TALLIED, check, rows

FIRST = datetime(2026, 11, 1, 0, 5, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _first_of_november() -> None:
    clock.freeze(FIRST)


@pytest.fixture
async def runner(settings: Settings) -> AsyncIterator[JobRunner]:
    settings = settings.model_copy(update={"notify_on_issue": True})
    database = Database(settings)
    runner = JobRunner(database, settings, build_registry(settings))
    yield runner
    await runner.stop(0)
    await database.close()


async def run_all(runner: JobRunner) -> None:
    while await runner.start_due_jobs():
        await runner.wait_until_idle()


async def entries(connection: AsyncConnection, job: str) -> list[Any]:
    found = await connection.execute(select(OutboxEntry.__table__).where(OutboxEntry.job == job))
    return list(found)


async def deliveries(connection: AsyncConnection) -> list[Any]:
    return list(await connection.execute(select(Delivery.__table__).order_by(Delivery.recipient)))


async def test_a_close_sends_notifications(
    make: Factories, runner: JobRunner, connection: AsyncConnection, settings: Settings
) -> None:
    customer = await make.customer()
    await make.owner(customer, email="owner@example.com")
    await make.item(await make.invoice(customer))
    await make.invoice(await make.customer())
    await outbox.record_job(connection, "close_month", {})
    await run_all(runner)
    (sent,) = await deliveries(connection)
    assert (sent.recipient, sent.state) == ("owner@example.com", "sent")
    assert len(await entries(connection, "deliver")) == 1
    await outbox.record_job(connection, "close_month", {})
    await run_all(runner)
    assert len(await deliveries(connection)) == 1
    open_ = await connection.execute(select(OutboxEntry.job).where(OutboxEntry.done_at.is_(None)))
    assert open_.all() == []


async def representations(connection: AsyncConnection) -> int:
    statement = select(func.count()).select_from(LinesRepresentation)
    return (await connection.execute(statement)).scalar_one()


async def test_a_close_has_the_issued_invoices_represented(
    make: Factories, runner: JobRunner, connection: AsyncConnection
) -> None:
    for _ in range(2):
        await make.item(await make.invoice(await make.customer()))
    for _ in range(2):
        await outbox.record_job(connection, "close_month", {})
        await run_all(runner)
    assert await representations(connection) == 2
    assert len(await entries(connection, "represent_issued")) == 1, "the second close issued none"


async def test_a_freeze_has_its_invoices_represented(
    make: Factories, runner: JobRunner, connection: AsyncConnection
) -> None:
    await make.invoice(await make.customer(), state=InvoiceState.CREATED)
    await outbox.record_job(connection, "freeze_issued", {})
    await run_all(runner)
    assert await representations(connection) == 1


@pytest.mark.parametrize("state", [InvoiceState.PAID, InvoiceState.CANCELED])
async def test_a_settled_invoice_is_not_notified(
    make: Factories, runner: JobRunner, connection: AsyncConnection, state: InvoiceState
) -> None:
    invoice = await make.invoice(await make.customer(), state=state)
    await make.item(invoice)
    await outbox.record_job(connection, "notify", {"invoice": str(invoice.uuid)})
    await run_all(runner)
    assert await deliveries(connection) == []
    (entry,) = await entries(connection, "notify")
    assert (entry.done_at, entry.last_error) == (FIRST, "")


async def test_an_invoice_that_became_zero_is_not_notified(
    make: Factories, runner: JobRunner, connection: AsyncConnection
) -> None:
    invoice = await make.invoice(await make.customer(), state=InvoiceState.CREATED)
    await outbox.record_job(connection, "notify", {"invoice": str(invoice.uuid)})
    await run_all(runner)
    assert await deliveries(connection) == []


async def test_a_deleted_invoice_ends_its_notification(
    runner: JobRunner, connection: AsyncConnection
) -> None:
    await outbox.record_job(connection, "notify", {"invoice": str(uuid4())})
    await run_all(runner)
    (entry,) = await entries(connection, "notify")
    assert entry.done_at == FIRST
    assert "There is no invoice" in entry.last_error


async def test_a_failed_delivery_is_retried_at_its_time(
    make: Factories, connection: AsyncConnection, settings: Settings
) -> None:
    # Nothing listens on port 1.
    settings = Settings.model_validate(settings.model_dump() | {"smtp_url": "smtp://127.0.0.1:1"})
    database = Database(settings)
    runner = JobRunner(database, settings, build_registry(settings))
    invoice = await make.invoice(await make.customer(), state=InvoiceState.CREATED)
    await make.item(invoice)
    await outbox.record_job(connection, "notify", {"invoice": str(invoice.uuid)})
    await run_all(runner)
    (delivery,) = await deliveries(connection)
    (entry,) = await entries(connection, "deliver")
    assert (delivery.state, delivery.attempts) == ("pending", 1)
    assert delivery.next_attempt_at > FIRST
    assert (entry.due_at, entry.done_at) == (delivery.next_attempt_at, None)
    clock.freeze(entry.due_at)
    await run_all(runner)
    (delivery,) = await deliveries(connection)
    assert delivery.attempts == 2
    await runner.stop(0)
    await database.close()


async def test_totals_are_reconciled(
    make: Factories, runner: JobRunner, connection: AsyncConnection
) -> None:
    invoice = await make.invoice(await make.customer(), Period(2026, 11))
    await connection.execute(update(Invoice).values(total_price=5))
    await outbox.record_job(connection, "reconcile_totals", {})
    await run_all(runner)
    kept = select(Invoice.total_price).where(Invoice.id == invoice.id)
    assert (await connection.execute(kept)).scalar_one() == 0


async def test_tallies_are_reconciled_with_totals(
    make: Factories, database: Database, connection: AsyncConnection, settings: Settings
) -> None:
    """The difference that repaired totals add is no drift; a change around the triggers is."""
    invoice = await make.invoice(await make.customer(), Period(2026, 11))
    await make.item(invoice, "10")
    await connection.execute(text("ALTER TABLE invoices DISABLE TRIGGER USER"))
    await connection.execute(update(Invoice).values(state=InvoiceState.PAID, total_price=5))
    await connection.execute(text("ALTER TABLE invoices ENABLE TRIGGER USER"))
    summary = await build_registry(settings)["reconcile_totals"].function(
        JobRun(database, settings, Sender(database, settings))
    )
    assert summary is not None
    assert summary.counts == {"repaired": 1, "summaries repaired": 2}
    assert len(summary.notes) == 3
    assert await rows(connection, TALLIED) == [(2026, 11, "paid", 1, 10, 12)]


async def test_tallies_are_merged(
    make: Factories, runner: JobRunner, connection: AsyncConnection
) -> None:
    invoice = await make.invoice(await make.customer(), Period(2026, 11))
    for _ in range(3):
        await make.item(invoice)
    count = select(func.count()).select_from(InvoiceSummary)
    assert (await connection.execute(count)).scalar_one() == 4
    await outbox.record_job(connection, "merge_tallies", {})
    await run_all(runner)
    (entry,) = await entries(connection, "merge_tallies")
    assert (entry.done_at, entry.last_error) == (FIRST, "")
    assert (await connection.execute(count)).scalar_one() == 1
    await check(connection)


async def test_yearly_sums_are_moved_when_no_change_is_in_progress(
    make: Factories, runner: JobRunner, connection: AsyncConnection, database: Database
) -> None:
    clock.freeze(FIRST.replace(year=2030))
    invoice = await make.invoice(await make.customer(), created=clock.today())
    await outbox.record_job(connection, "bring_year_forward", {})
    since = select(CustomerYearTotal.since)
    async with database.transaction() as changing:
        await Factories(changing).item(invoice)
        before = (await connection.execute(since)).scalar_one()
        await run_all(runner)
        (entry,) = await entries(connection, "bring_year_forward")
        later = clock.now() + timedelta(minutes=1)
        assert (entry.due_at, entry.done_at, entry.last_error) == (later, None, "")
        assert (await connection.execute(since)).scalar_one() == before
    clock.freeze(later)
    await run_all(runner)
    (entry,) = await entries(connection, "bring_year_forward")
    assert (entry.done_at, entry.last_error) == (later, "")
    assert (await connection.execute(since)).scalar_one() == one_year_before(clock.today())
    await check(connection)


async def test_orphaned_proofs_are_swept(
    make: Factories, runner: JobRunner, connection: AsyncConnection, settings: Settings
) -> None:
    now = datetime.now(UTC)
    clock.freeze(now + timedelta(days=3))  # as on a host whose clock is ahead of that of the files

    def put(name: str, age: timedelta) -> Path:
        path = settings.proof_dir / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"%PDF-")
        moment = (now - age).timestamp()
        os.utime(path, (moment, moment))
        return path

    day, hour = timedelta(days=1, seconds=1), timedelta(hours=1)
    named = put(uuid4().hex, 9 * day)
    profile = await make.profile(await make.customer())
    await make.payment(
        profile,
        proof_key=named.name,
        proof_name="a.pdf",
        proof_media_type="application/pdf",
        proof_size=5,
        proof_sha256="0" * 64,
    )
    orphan, broken_off = put(uuid4().hex, day), put(f"{uuid4().hex}.part", day)
    young, arriving = put(uuid4().hex, hour), put(f"{uuid4().hex}.part", hour)
    foreign = put("README.txt", 9 * day)
    await outbox.record_job(connection, "sweep_proofs", {})
    await run_all(runner)
    left = {path for path in (named, orphan, broken_off, young, arriving, foreign) if path.exists()}
    assert left == {named, young, arriving, foreign}


async def test_the_outbox_is_purged(runner: JobRunner, connection: AsyncConnection) -> None:
    for _ in range(3):
        await outbox.record_job(connection, "purge_outbox", {})
    await run_all(runner)
    clock.freeze(FIRST + timedelta(days=8))
    await outbox.record_job(connection, "purge_outbox", {})
    await run_all(runner)
    assert len(await entries(connection, "purge_outbox")) == 1


async def test_stored_responses_are_purged_after_a_day(
    runner: JobRunner, connection: AsyncConnection, make: Factories
) -> None:
    user = await make.staff()
    for name, age in (("old", 24.1), ("young", 23.9)):
        row = {
            "user_id": user.id,
            "key": name,
            "request_digest": b"",
            "status": 200,
            "headers": {},
            "body": b"",
            "is_packed": False,
            "created_at": FIRST - timedelta(hours=age),
        }
        await connection.execute(insert(StoredResponse).values(row))
    await outbox.record_job(connection, "purge_answers", {})
    await run_all(runner)
    assert (await connection.execute(select(StoredResponse.key))).scalars().all() == ["young"]
