"""Credits of many customers that end at once, and customers whose part of the close fails."""

import asyncio
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, Final

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from app import clock
from app.audit.actor import Actor
from app.audit.backfill import backfill
from app.audit.verify import VerificationResult, verify
from app.audit.writer import audited_transaction, seal
from app.billing.periods import Period
from app.database.engine import Database
from app.invoices.actions.expire_credits import ExpireCredits, expire_credits
from app.invoices.jobs import close_month as module
from app.invoices.jobs.close_month import close_month
from app.settings import Settings
from tests.support.executed import executed_statements
from tests.support.factories import Factories, Row

ACTOR: Final = Actor("test")
ENDED: Final = date(2026, 11, 1)


@pytest.fixture(autouse=True)
def _first_of_november() -> None:
    clock.freeze(datetime(2026, 11, 1, 0, 5, tzinfo=UTC))


async def customer_with_ended_credits(make: Factories) -> Row:
    """Insert a customer whose credit ends today, and that of a removed project with it."""
    customer = await make.customer()
    await make.credit(customer, "100", end_date=ENDED)
    removed = await make.project(customer, is_removed=True)
    await make.project_credit(
        removed, "30", mark_unused_credit_as_spent_on_project_termination=True
    )
    return customer


async def balances(connection: AsyncConnection) -> list[Decimal]:
    statement = (
        "SELECT value FROM customer_credits JOIN customers ON customers.id = customer_id"
        " ORDER BY customers.id"
    )
    return list((await connection.execute(text(statement))).scalars())


async def number_of_statements(database: Database, settings: Settings, customers: list[Row]) -> int:
    command = ExpireCredits([each.id for each in customers])
    with executed_statements(database) as seen:
        async with audited_transaction(database, settings.audit_key, ACTOR) as connection:
            expired = await expire_credits(connection, command)
    assert expired.count == 2 * len(customers)
    return len(seen)


async def test_the_credits_of_a_hundred_customers_end_by_as_many_statements_as_those_of_one(
    make: Factories, database: Database, settings: Settings
) -> None:
    counts = [
        await number_of_statements(
            database, settings, [await customer_with_ended_credits(make) for _ in range(number)]
        )
        for number in (1, 100)
    ]
    assert counts[0] == counts[1]


LEFT: Final = (
    "SELECT customer_uuid, project_uuid, amount, transaction_type, comment FROM credit_transactions"
    " ORDER BY 1, 2 NULLS FIRST, 3",
    "SELECT subject_uuid, kind, was, became FROM subject_changes"
    " ORDER BY 1, became ->> 'value' DESC",
    "SELECT value FROM customer_credits UNION ALL SELECT value FROM project_credits",
)


async def left_in(connection: AsyncConnection) -> list[Any]:
    return [list(await connection.execute(text(statement))) for statement in LEFT]


async def test_customers_leave_in_a_batch_what_each_leaves_alone(
    make: Factories, database: Database, settings: Settings
) -> None:
    rows = [await customer_with_ended_credits(make) for _ in range(3)]
    for row in rows:
        await make.project_credit(await make.project(row), "20", end_date=ENDED)
    customers = [row.id for row in rows]
    await backfill(database, settings.audit_key, "made by a test")
    async with database.engine.connect() as connection, connection.begin() as transaction:
        for customer in customers:
            await expire_credits(connection, ExpireCredits([customer]))
            await seal(connection, settings.audit_key, ACTOR)
        one_by_one = await left_in(connection)
        await transaction.rollback()
    async with audited_transaction(database, settings.audit_key, ACTOR) as connection:
        await expire_credits(connection, ExpireCredits(customers))
    async with database.reading() as connection:
        together = await left_in(connection)
    assert together == one_by_one
    assert len(together[0]) == 12
    assert {row.value for row in together[2]} == {Decimal(0)}
    assert [each async for each in verify(database, settings, VerificationResult())] == []


async def test_a_customer_whose_credits_fail_keeps_them_and_stops_nobody(
    make: Factories, database: Database, connection: AsyncConnection, settings: Settings
) -> None:
    customers = [await make.customer() for _ in range(7)]
    for customer in customers:
        await make.credit(customer, end_date=ENDED)
    broken = customers[4]
    refusal = f"CHECK (customer_uuid <> '{broken.uuid}')"
    await connection.execute(
        text(f"ALTER TABLE credit_transactions ADD CONSTRAINT broken {refusal}")
    )
    summary = await close_month(database, settings)
    assert summary.counts["credits expired"] == 6
    [failure] = summary.failures
    assert failure.startswith(f"credits of customer {broken.id}: ")
    assert await balances(connection) == [0, 0, 0, 0, 100, 0, 0]

    await connection.execute(text("ALTER TABLE credit_transactions DROP CONSTRAINT broken"))
    summary = await close_month(database, settings)
    assert (summary.counts["credits expired"], summary.failures) == (1, [])


async def test_closes_at_once_zero_each_balance_once(
    make: Factories,
    database: Database,
    connection: AsyncConnection,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "_EXPIRED", 3)
    for _ in range(7):
        await customer_with_ended_credits(make)
    summaries = await asyncio.gather(*(close_month(database, settings) for _ in range(3)))
    assert [summary.failures for summary in summaries] == [[], [], []]
    assert sum(summary.counts["credits expired"] for summary in summaries) == 14
    assert set(await balances(connection)) == {Decimal(0)}
    moved = "SELECT sum(amount) FROM credit_transactions"
    assert (await connection.execute(text(moved))).scalar_one() == -7 * 130


@pytest.mark.parametrize(
    ("grace", "failure", "counts"),
    [
        (0, "opening for customer", {"issued as paid": 5, "opened": 4}),
        (48, "invoice", {"waiting": 4, "opened": 4}),
    ],
)
async def test_a_customer_for_whom_a_step_fails_stops_nobody(  # noqa: PLR0917
    make: Factories,
    database: Database,
    connection: AsyncConnection,
    settings: Settings,
    grace: int,
    failure: str,
    counts: dict[str, int],
) -> None:
    customers = [await make.customer() for _ in range(5)]
    for customer in customers:
        await make.invoice(customer, Period(2026, 10))
    function = """CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN RAISE 'not this one'; END $$"""
    trigger = f"""CREATE TRIGGER refuse BEFORE INSERT OR UPDATE ON invoices FOR EACH ROW
        WHEN (NEW.customer_id = {customers[1].id}
              AND (NEW.month = 11 OR NEW.state = 'pending_finalization'))
        EXECUTE FUNCTION refuse()"""
    for statement in (function, trigger):
        await connection.execute(text(statement))
    waiting = settings.model_copy(update={"finalization_grace_hours": grace})
    summary = await close_month(database, waiting)
    assert summary.counts == counts
    assert all("not this one" in each for each in summary.failures)
    assert any(each.startswith(failure) for each in summary.failures)
