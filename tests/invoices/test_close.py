import asyncio
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import func, insert, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from app import clock
from app.billing.enums import PaymentType
from app.billing.periods import Period
from app.customers.models import Customer
from app.database.engine import Database
from app.database.errors import ConnectionLost
from app.invoices.jobs import close_month as module
from app.invoices.jobs.close_month import close_month, find_close_status
from app.invoices.models import Invoice
from app.outbox.models import OutboxEntry
from app.settings import Settings
from tests.support.factories import EARLY, Factories

OCTOBER, NOVEMBER = Period(2026, 10), Period(2026, 11)


@pytest.fixture(autouse=True)
def _first_of_november() -> None:
    clock.freeze(datetime(2026, 11, 1, 0, 5, tzinfo=UTC))


async def invoices(connection: AsyncConnection, period: Period) -> list[Any]:
    statement = (
        select(Invoice.__table__)
        .where(Invoice.year == period.year, Invoice.month == period.month)
        .order_by(Invoice.customer_id)
    )
    return list(await connection.execute(statement))


async def count(connection: AsyncConnection, table: Any) -> int:
    return (await connection.execute(select(func.count()).select_from(table))).scalar_one()


async def test_past_months_are_issued_and_the_running_one_opened(
    make: Factories, database: Database, connection: AsyncConnection, settings: Settings
) -> None:
    usual = await make.customer(default_tax_percent=Decimal("22.5"))
    fixed = await make.customer()
    await make.profile(fixed, payment_type=PaymentType.FIXED_PRICE)
    for customer, period in ((usual, OCTOBER), (usual, Period(2025, 12)), (fixed, OCTOBER)):
        await make.item(await make.invoice(customer, period))
    summary = await close_month(database, settings)
    assert summary.counts == {"issued": 2, "issued as paid": 1, "opened": 2}
    assert [row.state for row in await invoices(connection, OCTOBER)] == ["created", "paid"]
    opened = await invoices(connection, NOVEMBER)
    assert [(row.state, row.tax_percent, row.created, row.number) for row in opened] == [
        ("pending", Decimal("22.50"), date(2026, 11, 1), 100001 + 3),
        ("pending", Decimal("20.00"), date(2026, 11, 1), 100001 + 4),
    ]


async def test_closing_again_changes_nothing_and_uses_no_numbers(
    make: Factories, database: Database, connection: AsyncConnection, settings: Settings
) -> None:
    customer = await make.customer()
    await make.invoice(customer, OCTOBER)
    await close_month(database, settings)
    before = await invoices(connection, OCTOBER) + await invoices(connection, NOVEMBER)
    summary = await close_month(database, settings)
    assert summary.counts == {}
    assert await invoices(connection, OCTOBER) + await invoices(connection, NOVEMBER) == before
    await make.customer()
    await close_month(database, settings)
    assert (await invoices(connection, NOVEMBER))[-1].number == before[-1].number + 1


async def test_which_customers_get_an_invoice(
    make: Factories, database: Database, connection: AsyncConnection, settings: Settings
) -> None:
    await make.customer(archived=True)
    later = datetime(2026, 11, 15, 9, tzinfo=UTC)
    starts_later = await make.customer(accounting_start_date=later)
    running = await make.customer()
    await close_month(database, settings)
    assert [row.customer_id for row in await invoices(connection, NOVEMBER)] == [running.id]
    clock.freeze(datetime(2026, 11, 16, 0, 5, tzinfo=UTC))
    await close_month(database, settings)
    assert {row.customer_id for row in await invoices(connection, NOVEMBER)} == {
        running.id,
        starts_later.id,
    }


async def test_an_archived_customers_last_invoice_is_still_issued(
    make: Factories, database: Database, connection: AsyncConnection, settings: Settings
) -> None:
    await make.item(await make.invoice(await make.customer(archived=True), OCTOBER))
    await close_month(database, settings)
    assert [row.state for row in await invoices(connection, OCTOBER)] == ["created"]


async def test_imported_invoices_are_left_alone_unless_asked(
    make: Factories, database: Database, connection: AsyncConnection, settings: Settings
) -> None:
    settings = settings.model_copy(update={"notify_on_issue": True})
    invoice = await make.invoice(await make.customer(), OCTOBER, source="focus")
    await make.item(invoice)
    await close_month(database, settings)
    assert [row.state for row in await invoices(connection, OCTOBER)] == ["pending"]
    await close_month(database, settings, include_imported=True)
    assert [row.state for row in await invoices(connection, OCTOBER)] == ["created"]
    assert await count(connection, OutboxEntry) == 0


async def test_customers_of_cloud_bills_get_invoices_from_imports_alone(
    make: Factories, database: Database, connection: AsyncConnection, settings: Settings
) -> None:
    account = await make.customer(source="focus")
    empty = await make.invoice(account, OCTOBER)
    other = await make.customer(source="elsewhere")
    assert (await find_close_status(connection, count_to=10)).overdue == 0
    for include_imported in (False, True):
        await close_month(database, settings, include_imported=include_imported)
        assert [row.customer_id for row in await invoices(connection, NOVEMBER)] == [other.id]
        assert [row.state for row in await invoices(connection, OCTOBER)] == ["pending"]
    await make.item(empty)
    await close_month(database, settings)
    assert [row.state for row in await invoices(connection, OCTOBER)] == ["pending"]
    await close_month(database, settings, include_imported=True)
    assert [row.state for row in await invoices(connection, OCTOBER)] == ["created"]


async def test_one_failure_does_not_stop_the_rest(
    make: Factories, database: Database, connection: AsyncConnection, settings: Settings
) -> None:
    made = [await make.invoice(await make.customer(), OCTOBER) for _ in range(3)]
    for invoice in made:
        await make.item(invoice)
    await connection.execute(
        text(f"""CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            IF OLD.id = {made[1].id} THEN RAISE 'not this one'; END IF;
            RETURN NEW;
        END $$""")
    )
    await connection.execute(
        text(
            "CREATE TRIGGER refuse BEFORE UPDATE ON invoices FOR EACH ROW EXECUTE FUNCTION refuse()"
        )
    )
    summary = await close_month(database, settings)
    states = [row.state for row in await invoices(connection, OCTOBER)]
    assert states == ["created", "pending", "created"]
    assert summary.counts == {"issued": 2, "opened": 3}
    assert len(summary.failures) == 1
    assert "not this one" in summary.failures[0]
    await connection.execute(text("DROP TRIGGER refuse ON invoices"))
    assert (await close_month(database, settings)).counts == {"issued": 1}


async def test_many_closes_at_once_do_everything_once(
    make: Factories,
    database: Database,
    connection: AsyncConnection,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "_BATCH", 7)
    settings = settings.model_copy(update={"notify_on_issue": True})
    for _ in range(30):
        await make.item(await make.invoice(await make.customer(), OCTOBER))
    others = [Database(settings) for _ in range(3)]
    summaries = await asyncio.gather(*(close_month(other, settings) for other in others))
    for other in others:
        await other.close()
    assert sum(summary.counts["issued"] for summary in summaries) == 30
    assert sum(summary.counts["opened"] for summary in summaries) == 30
    assert not any(summary.failures for summary in summaries)
    assert await count(connection, OutboxEntry) == 30
    assert {row.state for row in await invoices(connection, OCTOBER)} == {"created"}
    assert len(await invoices(connection, NOVEMBER)) == 30


async def test_more_customers_than_a_batch(
    database: Database,
    connection: AsyncConnection,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "_BATCH", 20)
    customers = 2 * module._BATCH + 1
    values = {
        "default_tax_percent": 0,
        "accounting_start_date": EARLY,
        "created_at": EARLY,
        "archived": False,
    }
    rows = select(
        func.gen_random_uuid(),
        func.concat("Customer ", func.generate_series(1, customers)),
        *(text(f":{name}").bindparams(**{name: value}) for name, value in values.items()),
    )
    await connection.execute(
        insert(Customer).from_select(["uuid", "name", *values], rows, include_defaults=False)
    )
    assert (await close_month(database, settings)).counts["opened"] == customers
    clock.freeze(datetime(2026, 12, 1, 0, 5, tzinfo=UTC))
    summary = await close_month(database, settings)
    assert summary.counts == {
        "issued as paid": customers,  # nothing was charged
        "opened": customers,
    }
    states = await connection.execute(
        select(Invoice.state, func.count()).group_by(Invoice.state).order_by(Invoice.state)
    )
    assert [tuple(row) for row in states] == [
        ("paid", customers),
        ("pending", customers),
    ]


async def test_a_database_that_goes_away_ends_the_run(
    make: Factories, database: Database, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    await make.invoice(await make.customer(), OCTOBER)
    nowhere = settings.model_copy(
        update={"database_url": "postgresql+asyncpg://nobody@127.0.0.1:1/nothing"}
    )
    gone = Database(nowhere)
    with pytest.raises(ConnectionLost, match="Connect"):
        await close_month(gone, settings)
    await gone.close()
