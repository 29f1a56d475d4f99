"""The metrics of the database that the worker shows."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from prometheus_client.metrics_core import Metric
from sqlalchemy import event, insert, text
from sqlalchemy.ext.asyncio import AsyncConnection
from structlog.testing import capture_logs

from app import clock
from app.billing.enums import InvoiceState
from app.billing.periods import Period
from app.database.engine import Database
from app.deliveries.models import Delivery
from app.invoices.jobs import close_month
from app.jobs.collector import FINISHED_MAX_AGE, MAX_AGE, DatabaseCollector
from app.outbox import repository as outbox
from app.settings import Settings
from tests.support.factories import Factories
from tests.support.server import free_port

NOW = datetime(2026, 11, 3, 12, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _now() -> None:
    clock.freeze(NOW)


def values(metrics: list[Metric]) -> dict[tuple[str, ...], float]:
    return {
        (sample.name.removeprefix("invoicing_"), *sample.labels.values()): sample.value
        for metric in metrics
        for sample in metric.samples
    }


@contextmanager
def statements_of(database: Database) -> Iterator[list[tuple[str, Any]]]:
    """Yield the statements that are executed meanwhile, with their parameters."""
    asked: list[tuple[str, Any]] = []

    def note(_connection: Any, _cursor: Any, statement: str, given: Any, *_rest: Any) -> None:
        asked.append((statement, given))

    engine = database.engine.sync_engine
    event.listen(engine, "before_cursor_execute", note)
    yield asked
    event.remove(engine, "before_cursor_execute", note)


async def deliver(connection: AsyncConnection, invoice: int, state: str) -> None:
    await connection.execute(
        insert(Delivery).values(
            uuid=text("gen_random_uuid()"),
            invoice_id=invoice,
            recipient=f"{state}@example.com",
            state=state,
            message_id=text("gen_random_uuid()"),
            created_at=NOW,
        )
    )


async def test_waiting_and_settled_entries_are_counted(
    database: Database, connection: AsyncConnection, make: Factories
) -> None:
    for due in (timedelta(minutes=-7), timedelta(minutes=-1), timedelta(hours=1)):
        await outbox.record_job(connection, "deliver", {}, NOW + due)
    await outbox.record_job(connection, "of a newer version", {}, NOW)
    invoice = await make.invoice(await make.customer(), state=InvoiceState.CREATED)
    for state in ("pending", "sending", "sent", "failed"):
        await deliver(connection, invoice.id, state)

    watch = DatabaseCollector(database, ["deliver", "notify"])
    seen = values(await watch.metrics())
    assert seen == {
        ("database_up",): 1,
        ("outbox_entries", "deliver", "now"): 2,
        ("outbox_entries", "deliver", "later"): 1,
        ("outbox_entries", "notify", "now"): 0,
        ("outbox_entries", "notify", "later"): 0,
        ("outbox_entries", "other", "now"): 1,
        ("outbox_entries", "other", "later"): 0,
        ("outbox_oldest_due_seconds",): 420,
        ("deliveries", "pending"): 1,
        ("deliveries", "sending"): 1,
        ("deliveries", "sent"): 1,
        ("deliveries", "failed"): 1,
        ("last_closed_month_timestamp_seconds",): datetime(2026, 10, 1, tzinfo=UTC).timestamp(),
        ("overdue_invoices",): 0,
        ("credit_notes_total",): 0,
        ("database_is_standby",): 0,
        ("database_standbys", "sync"): 0,
        ("database_standbys", "quorum"): 0,
        ("database_standbys", "potential"): 0,
        ("database_standbys", "async"): 0,
        ("database_standbys", "hidden"): 0,
        ("database_replication_lag_bytes",): 0,
        ("database_replication_lag_seconds",): 0,
    }

    await connection.execute(text("UPDATE notification_deliveries SET state = 'sent'"))
    clock.freeze(NOW + timedelta(seconds=MAX_AGE))
    seen = values(await watch.metrics())
    assert (seen["deliveries", "pending"], seen["deliveries", "sent"]) == (0, 1)
    clock.freeze(NOW + timedelta(seconds=FINISHED_MAX_AGE))
    assert values(await watch.metrics())["deliveries", "sent"] == 4


async def test_credit_notes_are_counted_however_they_were_made(
    database: Database, connection: AsyncConnection, make: Factories
) -> None:
    invoice = await make.invoice(await make.customer(), state=InvoiceState.CREATED)
    await make.credit_note(invoice, number=1)
    await make.credit_note(invoice, number=2, content={"source": "focus"})
    seen = values(await DatabaseCollector(database, []).metrics())
    assert seen["credit_notes_total",] == 2


async def test_months_are_closed_once_nothing_of_ours_is_pending(
    connection: AsyncConnection, make: Factories
) -> None:
    customer = await make.customer()
    await make.invoice(customer, Period(2026, 8), source="elsewhere")
    await make.invoice(customer, Period(2026, 9), InvoiceState.CREATED)
    await make.invoice(customer, Period(2026, 10))
    await make.invoice(customer, Period(2026, 11))
    assert (await close_month.find_close_status(connection, 10)).last_closed == Period(2026, 9)
    await make.invoice(await make.customer(), Period(2025, 12))
    found = await close_month.find_close_status(connection, 10)
    assert found == close_month.CloseStatus(Period(2025, 11), overdue=2)
    assert (await close_month.find_close_status(connection, 1)).overdue == 1


async def test_a_running_month_of_many_pending_invoices_is_not_read(
    database: Database, connection: AsyncConnection
) -> None:
    many = (
        "INSERT INTO customers"
        " (uuid, name, default_tax_percent, accounting_start_date, archived, created_at)"
        " SELECT gen_random_uuid(), 'C', 20, '2020-01-01Z', false, '2020-01-01Z'"
        " FROM generate_series(1, 3000)",
        "INSERT INTO invoices (uuid, customer_id, year, month, state, tax_percent, created)"
        " SELECT gen_random_uuid(), id, 2026, 11, 'pending', 20, '2026-11-01' FROM customers",
        "ANALYZE invoices",
    )
    for statement in many:
        await connection.execute(text(statement))
    with statements_of(database) as asked:
        async with database.reading() as other:
            await close_month.find_close_status(other, 10)
    (statement, values) = asked[-1]
    found = await connection.exec_driver_sql(f"EXPLAIN (ANALYZE, FORMAT TEXT) {statement}", values)
    plan = "\n".join(found.scalars())
    assert "Index Scan Backward using ix_invoices_state_newest_first" in plan
    assert "Rows Removed" not in plan
    assert "Sort" not in plan


async def test_many_scrapes_ask_the_database_little(database: Database) -> None:
    watch = DatabaseCollector(database, [])
    with statements_of(database) as asked:
        for _ in range(10):
            await watch.metrics()
        assert len(asked) == 6
        clock.freeze(NOW + timedelta(seconds=MAX_AGE))
        await watch.metrics()
        assert len(asked) == 11


async def test_a_database_that_is_away_is_shown_as_such(settings: Settings) -> None:
    nowhere = f"postgresql+asyncpg://postgres@127.0.0.1:{free_port()}/none"
    database = Database(settings.model_copy(update={"database_url": nowhere}))
    with capture_logs() as logged:
        assert values(await DatabaseCollector(database, ["deliver"]).metrics()) == {
            ("database_up",): 0
        }
    assert [line["event"] for line in logged] == ["database metrics unavailable"]
    await database.close()
