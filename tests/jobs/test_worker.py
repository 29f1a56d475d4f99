"""A whole worker on arq, in this process and as a process that is killed."""

import asyncio
import signal
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from pathlib import Path
from time import monotonic

import pytest
from sqlalchemy import func, select, text
from sqlalchemy.ext.asyncio import AsyncConnection
from structlog.testing import capture_logs

from app import clock
from app.billing.enums import InvoiceState
from app.billing.periods import Period
from app.database.engine import Database
from app.deliveries.models import Delivery
from app.invoices.models import Invoice
from app.jobs import arq_settings as arq
from app.jobs.worker import is_alive
from app.local.embedded.valkey import EmbeddedValkey
from app.outbox import repository as outbox
from app.outbox.models import OutboxEntry
from app.outbox.notifier import Notifier, create_redis_client
from app.settings import Settings
from tests.support.databases import migrate
from tests.support.factories import Factories
from tests.support.worker import kill, open_entries, until, worker_here, worker_process


async def number_of(connection: AsyncConnection, *conditions: object) -> int:
    statement = select(func.count()).select_from(Invoice)
    for condition in conditions:
        statement = statement.where(condition)  # type: ignore[arg-type] # columns compared
    return (await connection.execute(statement)).scalar_one()


async def test_a_notification_and_the_schedule_start_jobs(
    make: Factories,
    connection: AsyncConnection,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(arq, "POLL_INTERVAL", 60)
    await make.customer()
    assert not await is_alive(settings)
    async with worker_here(settings):

        async def scheduled_is_done() -> bool:
            done = select(func.count()).where(OutboxEntry.done_at.is_not(None))
            return (await connection.execute(done)).scalar_one() >= 4

        await until(scheduled_is_done)
        assert await number_of(connection) == 1
        assert await is_alive(settings)

        await outbox.record_job(connection, "purge_outbox", {})
        notifier = Notifier(settings)
        await notifier.notify_worker()
        start = monotonic()

        async def done() -> bool:
            return await open_entries(connection) == 0

        await until(done)
        await notifier.aclose()
        assert monotonic() - start < arq.POLL_INTERVAL / 2


async def test_polling_finds_entries_without_a_notification(
    connection: AsyncConnection, settings: Settings
) -> None:
    async with worker_here(settings):
        await outbox.record_job(connection, "purge_outbox", {})

        async def done() -> bool:
            return await open_entries(connection) == 0

        await until(done)


async def test_a_worker_survives_an_outage_of_redis(
    connection: AsyncConnection, settings: Settings, tmp_path: Path
) -> None:
    async def healthy() -> bool:
        redis = create_redis_client(settings, timeout=5)
        try:
            return bool(await redis.exists(arq.health_check_key(settings)))
        finally:
            await redis.aclose(close_connection_pool=True)

    async def all_is_done() -> bool:
        return await open_entries(connection) == 0

    with ExitStack() as servers:
        server = servers.enter_context(EmbeddedValkey(tmp_path / "valkey"))
        settings = settings.model_copy(update={"redis_url": server.url})
        notifier = Notifier(settings)
        async with worker_here(settings):
            await until(healthy)
            await until(all_is_done)
            servers.close()
            await outbox.record_job(connection, "purge_outbox", {})
            await notifier.notify_worker()
            await until(all_is_done)
            servers.enter_context(EmbeddedValkey(tmp_path / "valkey"))
            await until(healthy)
            await outbox.record_job(connection, "purge_outbox", {})
            await until(all_is_done)
        await notifier.aclose()


async def test_a_worker_logs_each_outage_of_redis_and_its_end(
    settings: Settings, tmp_path: Path
) -> None:
    def is_logged(event: str, times: int) -> Callable[[], Awaitable[bool]]:
        async def is_told() -> bool:
            return [each["event"] for each in logs].count(event) == times

        return is_told

    with ExitStack() as servers, capture_logs() as logs:
        server = servers.enter_context(EmbeddedValkey(tmp_path / "valkey"))
        settings = settings.model_copy(update={"redis_url": server.url})
        async with worker_here(settings):
            for times in (1, 2):
                await until(lambda: is_alive(settings))
                servers.close()
                await until(is_logged("queue unusable", times))
                servers.enter_context(EmbeddedValkey(tmp_path / "valkey"))
                await until(is_logged("queue usable again", times))


async def test_a_worker_starts_without_redis(
    connection: AsyncConnection, settings: Settings, tmp_path: Path
) -> None:
    settings = settings.model_copy(update={"redis_url": f"unix://{tmp_path}/nothing.sock"})
    await outbox.record_job(connection, "purge_outbox", {})

    async def all_is_done() -> bool:
        return await open_entries(connection) == 0

    async with worker_here(settings):
        await until(all_is_done)


@pytest.mark.slow  # it waits for the next minute
async def test_a_worker_waits_for_the_migration_of_its_database(
    empty_database_url: str, settings: Settings
) -> None:
    settings = settings.model_copy(update={"database_url": empty_database_url})
    database = Database(settings)

    async def has_looked() -> bool:
        return any(each["log_level"] in ("warning", "error") for each in logs)

    async def scheduled_is_done() -> bool:
        async with database.reading() as connection:
            done = select(func.count()).where(OutboxEntry.done_at.is_not(None))
            return (await connection.execute(done)).scalar_one() >= 4

    with capture_logs() as logs:
        async with worker_here(settings):
            await until(has_looked)
            await asyncio.to_thread(migrate, empty_database_url)
            await until(scheduled_is_done)
    await database.close()


async def test_the_close_of_a_killed_worker_is_taken_over(
    make: Factories, connection: AsyncConnection, database: Database, settings: Settings
) -> None:
    """Killed while it waits for a lock, with some invoices issued and some not."""
    settings = settings.model_copy(update={"job_lease": 2, "notify_on_issue": True})
    past = Period.containing(clock.today()).shifted(-1)
    made = [await make.invoice(await make.customer(), past) for _ in range(12)]
    for invoice in made:
        await make.item(invoice)
    issued = Invoice.state == InvoiceState.CREATED

    async def only_the_close_is_left() -> bool:
        # A mail that was just being sent would wait for minutes until its lease ends.
        some_are_issued = await number_of(connection, issued) >= 6
        return some_are_issued and await open_entries(connection) == 1

    async with database.engine.connect() as holder:
        await holder.execute(select(Invoice.id).where(Invoice.id == made[6].id).with_for_update())
        async with worker_process(settings) as process:
            await until(only_the_close_is_left)
            await kill(process)
        await holder.rollback()
    assert await number_of(connection, issued) == 6

    async def all_is_done() -> bool:
        return await open_entries(connection) == 0

    async with worker_process(settings), worker_here(settings):
        await until(all_is_done)
    assert await number_of(connection, issued) == 12
    assert await number_of(connection, Invoice.state == InvoiceState.PENDING) == 12
    notified = await connection.execute(
        select(OutboxEntry.arguments).where(OutboxEntry.job == "notify")
    )
    uuids = [entry.arguments["invoice"] for entry in notified]
    assert sorted(uuids) == sorted(str(invoice.uuid) for invoice in made)
    sent = await connection.execute(select(Delivery.invoice_id, Delivery.state))
    assert sorted(tuple(row) for row in sent) == [(invoice.id, "sent") for invoice in made]
    assert len(list(settings.mail_dir.glob("*.eml"))) == 12


async def test_a_terminated_worker_releases_its_jobs(
    make: Factories, connection: AsyncConnection, database: Database, settings: Settings
) -> None:
    past = Period.containing(clock.today()).shifted(-1)
    invoice = await make.invoice(await make.customer(), past)
    await make.item(invoice)

    async def waits_for_the_lock() -> bool:
        waiting = text(
            "SELECT count(*) FROM pg_stat_activity"
            " WHERE datname = current_database() AND wait_event_type = 'Lock'"
        )
        return bool((await connection.execute(waiting)).scalar_one())

    async with database.engine.connect() as holder:
        await holder.execute(select(Invoice.id).where(Invoice.id == invoice.id).with_for_update())
        async with worker_process(settings) as process:
            await until(waits_for_the_lock)
            process.send_signal(signal.SIGTERM)
            await asyncio.sleep(0.5)
            assert process.returncode is None
            await holder.rollback()
            assert await asyncio.wait_for(process.wait(), 60) == 0
    assert await number_of(connection, Invoice.state == InvoiceState.CREATED) == 1
    assert await open_entries(connection, "close_month") == 0
