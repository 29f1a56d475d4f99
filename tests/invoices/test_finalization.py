"""The grace period of a month: its invoices wait for late usage before they are issued."""

from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from app import clock
from app.billing.enums import InvoiceState
from app.billing.periods import Period
from app.credit_notes.actions.cancel import CancelInvoice, cancel
from app.database.engine import Database
from app.invoices.jobs.close_month import CloseStatus, close_month, find_close_status
from app.invoices.models import Invoice
from app.main import create_app
from app.outbox.models import OutboxEntry
from app.settings import Settings
from tests.support.clients import client_of
from tests.support.factories import Factories, Row

SEPTEMBER, OCTOBER, NOVEMBER = Period(2026, 9), Period(2026, 10), Period(2026, 11)
WAITING = InvoiceState.PENDING_FINALIZATION
FIRST = datetime(2026, 11, 1, 0, 5, tzinfo=UTC)
AFTER = datetime(2026, 11, 3, 0, 5, tzinfo=UTC)


@pytest.fixture
def waiting(settings: Settings) -> Settings:
    """Settings of a service whose months wait for two days."""
    return settings.model_copy(update={"finalization_grace_hours": 48, "notify_on_issue": True})


@pytest.fixture
async def waiting_client(waiting: Settings) -> AsyncIterator[httpx.AsyncClient]:
    app = create_app(waiting)
    async with app.router.lifespan_context(app), client_of(app) as client:
        yield client


async def state_of(connection: AsyncConnection, invoice: Row) -> tuple[str, date | None]:
    statement = select(Invoice.state, Invoice.invoice_date).where(Invoice.id == invoice.id)
    row = (await connection.execute(statement)).one()
    return row.state, row.invoice_date


@pytest.fixture
async def october(make: Factories) -> Row:
    invoice = await make.invoice(await make.customer(), OCTOBER)
    await make.item(invoice)
    return invoice


@pytest.fixture
async def ended_october(october: Row, database: Database, waiting: Settings) -> Row:
    """An invoice whose month has ended, and which waits."""
    clock.freeze(FIRST)
    await close_month(database, waiting)
    return october


async def test_a_month_waits_for_its_grace_period_before_it_is_issued_and_mailed(
    make: Factories,
    october: Row,
    database: Database,
    connection: AsyncConnection,
    waiting: Settings,
) -> None:
    clock.freeze(FIRST)
    assert (await close_month(database, waiting)).counts == {"waiting": 1, "opened": 1}
    assert await state_of(connection, october) == (WAITING, None)
    assert (await connection.execute(select(OutboxEntry.job))).all() == []
    await make.item(october)  # late usage

    clock.freeze(AFTER - timedelta(minutes=10))
    assert (await close_month(database, waiting)).counts == {}
    assert await state_of(connection, october) == (WAITING, None)

    clock.freeze(AFTER)
    assert (await close_month(database, waiting)).counts == {"issued": 1}
    assert await state_of(connection, october) == ("created", AFTER.date())
    jobs = (await connection.execute(select(OutboxEntry.job))).scalars().all()
    assert jobs == ["notify"]


async def test_older_months_are_issued_at_once(
    make: Factories, database: Database, connection: AsyncConnection, waiting: Settings
) -> None:
    clock.freeze(FIRST)
    customer = await make.customer()
    invoices = [await make.invoice(customer, month) for month in (SEPTEMBER, OCTOBER, NOVEMBER)]
    for invoice in invoices:
        await make.item(invoice)
    await close_month(database, waiting)
    states = [(await state_of(connection, invoice))[0] for invoice in invoices]
    assert states == ["created", WAITING, "pending"]


async def test_without_a_grace_period_waiting_invoices_are_issued_at_the_next_close(
    ended_october: Row, database: Database, connection: AsyncConnection, settings: Settings
) -> None:
    await close_month(database, settings)
    assert await state_of(connection, ended_october) == ("created", FIRST.date())


async def test_imported_invoices_do_not_wait(
    make: Factories, database: Database, connection: AsyncConnection, waiting: Settings
) -> None:
    clock.freeze(FIRST)
    imported = await make.invoice(await make.customer(), OCTOBER, source="focus")
    assert (await close_month(database, waiting)).counts["waiting"] == 0
    assert await state_of(connection, imported) == ("pending", None)


async def test_a_month_that_waits_is_neither_closed_nor_overdue(
    make: Factories, october: Row, connection: AsyncConnection, waiting: Settings
) -> None:
    clock.freeze(FIRST)
    grace = waiting.finalization_grace
    assert await find_close_status(connection, 10, grace) == CloseStatus(SEPTEMBER, overdue=0)
    assert await find_close_status(connection, 10) == CloseStatus(SEPTEMBER, overdue=1)
    await make.invoice(await make.customer(), SEPTEMBER)
    found = await find_close_status(connection, 10, grace)
    assert found == CloseStatus(Period(2026, 8), overdue=1)
    clock.freeze(AFTER)
    assert (await find_close_status(connection, 10, grace)).overdue == 2


async def test_an_invoice_that_waits_may_be_canceled_and_not_paid(
    make: Factories,
    client: httpx.AsyncClient,
    database: Database,
    connection: AsyncConnection,
    settings: Settings,
) -> None:
    invoice = await make.invoice(await make.customer(), OCTOBER, WAITING, invoice_date=None)
    staff = await make.staff()
    answer = await client.post(f"/api/invoices/{invoice.uuid}/paid/", headers=staff.headers)
    assert answer.status_code == 409
    async with database.transaction() as other:
        await cancel(other, CancelInvoice(invoice.id, "A duplicate."), settings)
    assert await state_of(connection, invoice) == ("canceled", None)


async def test_clients_see_the_state_where_the_grace_period_is_on(
    make: Factories, waiting_client: httpx.AsyncClient
) -> None:
    invoice = await make.invoice(await make.customer(), OCTOBER, WAITING, invoice_date=None)
    await make.invoice(await make.customer(), NOVEMBER)
    staff = await make.staff()
    query = f"?state={WAITING}&field=uuid&field=state"
    answer = await waiting_client.get(f"/api/invoices/{query}", headers=staff.headers)
    assert answer.json() == [{"uuid": str(invoice.uuid), "state": WAITING}]
    assert answer.headers["x-result-count"] == "1"


async def test_clients_do_not_see_the_state_where_the_grace_period_is_off(
    make: Factories, client: httpx.AsyncClient, waiting_client: httpx.AsyncClient
) -> None:
    invoice = await make.invoice(await make.customer(), OCTOBER, WAITING, invoice_date=None)
    staff = await make.staff()
    shown: dict[httpx.AsyncClient, Any] = {}
    for each in (client, waiting_client):
        url = f"/api/invoices/{invoice.uuid}/"
        shown[each] = await each.get(url, headers=staff.headers)
    assert shown[client].json()["state"] == "pending"
    assert shown[waiting_client].json()["state"] == WAITING
    assert shown[client].headers["etag"] != shown[waiting_client].headers["etag"]


async def test_the_history_has_the_end_of_the_month(
    make: Factories,
    ended_october: Row,
    client: httpx.AsyncClient,
    waiting_client: httpx.AsyncClient,
) -> None:
    staff = await make.staff()
    url = f"/api/invoices/{ended_october.uuid}/history/"
    states = []
    for each in (client, waiting_client):
        (version, *_) = (await each.get(url, headers=staff.headers)).json()
        assert version["revision_comment"] == "Month closed."
        states.append(version["serialized_data"]["state"])
    assert states == ["pending", WAITING]


@pytest.mark.usefixtures("ended_october")
async def test_counts_and_growth_include_waiting_invoices(
    make: Factories, waiting_client: httpx.AsyncClient
) -> None:
    staff = await make.staff()
    for state, count in ((WAITING, "1"), ("pending", "1"), ("created", "0")):
        answer = await waiting_client.head(f"/api/invoices/?state={state}", headers=staff.headers)
        assert answer.headers["x-result-count"] == count
    growth = await waiting_client.get("/api/invoices/growth/", headers=staff.headers)
    assert growth.json()["total_periods"][-2] == 12
