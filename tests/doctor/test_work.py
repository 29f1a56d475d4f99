"""The checks of jobs, deliveries and months."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from app import clock
from app.billing.enums import DeliveryState, InvoiceState
from app.billing.periods import Period
from app.database.engine import Database
from app.doctor import work
from app.doctor.check_result import Level
from app.outbox import repository as outbox
from app.settings import Settings
from tests.doctor.results import collect, is_well, only
from tests.support.factories import Factories


@pytest.mark.parametrize(
    ("age", "level"),
    [(timedelta(minutes=2), Level.WARNING), (timedelta(hours=1), Level.WRONG)],
)
async def test_late_jobs_are_reported(
    connection: AsyncConnection,
    database: Database,
    settings: Settings,
    age: timedelta,
    level: Level,
) -> None:
    await outbox.record_job(connection, "notify", {})
    assert is_well(await collect(work.outbox(database, settings)))
    due = {"due": clock.now() - age}
    await connection.execute(text("UPDATE outbox SET due_at = :due"), due)
    assert "1 jobs are due, the oldest for" in only(
        await collect(work.outbox(database, settings)), level
    )


async def test_failed_jobs_are_reported(
    connection: AsyncConnection, database: Database, settings: Settings
) -> None:
    await outbox.record_job(connection, "notify", {})
    await connection.execute(text("UPDATE outbox SET done_at = now(), last_error = 'no use'"))
    assert "notify (1)" in only(await collect(work.outbox(database, settings)), Level.WARNING)


async def test_open_months_are_reported(
    make: Factories, database: Database, settings: Settings
) -> None:
    last_month = Period.containing(clock.today()).shifted(-1)
    customer = await make.customer()
    await make.invoice(customer, last_month, InvoiceState.CREATED)
    assert is_well(await collect(work.months(database, settings)))
    await make.invoice(customer, last_month.shifted(-1))
    message = only(await collect(work.months(database, settings)), Level.WRONG)
    assert message.startswith("1 invoices of ")


async def test_a_month_in_its_grace_period_is_not_reported_as_open(
    make: Factories, database: Database, settings: Settings
) -> None:
    clock.freeze(datetime(2026, 11, 2, tzinfo=UTC))
    await make.invoice(await make.customer(), Period(2026, 10))
    assert not is_well(await collect(work.months(database, settings)))
    with_grace = settings.model_copy(update={"finalization_grace_hours": 48})
    (result,) = await collect(work.months(database, with_grace))
    assert result.level is Level.WELL
    assert result.message == (
        "2026-09 and all months before are closed; later ones wait for late usage"
    )


async def test_a_monthly_report_that_waits_for_invoices_is_reported(
    make: Factories, database: Database, settings: Settings
) -> None:
    clock.freeze(datetime(2026, 11, 2, tzinfo=UTC))
    await make.invoice(await make.customer(), Period(2026, 10))
    assert await collect(work.reports(database, settings)) == []
    wanted = settings.model_copy(update={"report_recipients": ("a@example.com",)})
    message = only(await collect(work.reports(database, wanted)), Level.WARNING)
    assert "not issued: 2026-10 (1 invoices)." in message


async def test_failed_deliveries_are_reported(
    make: Factories, connection: AsyncConnection, database: Database, settings: Settings
) -> None:
    assert is_well(await collect(work.deliveries(database, settings)))
    invoice = await make.invoice(await make.customer())
    await connection.execute(
        text(
            "INSERT INTO notification_deliveries (uuid, invoice_id, recipient, state, message_id,"
            " attempts, created_at) VALUES (gen_random_uuid(), :invoice, 'a@b.example', :state,"
            " 'x', 1, now())"
        ),
        {"invoice": invoice.id, "state": DeliveryState.FAILED},
    )
    assert "delivery retry" in only(
        await collect(work.deliveries(database, settings)), Level.WARNING
    )


async def test_projects_with_more_credit_than_their_customer_are_a_warning(
    database: Database, settings: Settings, make: Factories
) -> None:
    customer = await make.customer()
    await make.credit(customer, "10")
    project = await make.project(customer)
    await make.project_credit(project, "10")
    assert is_well(await collect(work.credits(database, settings)))
    await make.project_credit(await make.project(customer), "0.00001")
    assert "1 customers" in only(await collect(work.credits(database, settings)), Level.WARNING)
