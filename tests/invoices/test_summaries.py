"""Summaries are merged and repaired, and the totals of a year advanced, beside other changes."""

import asyncio
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from app import clock
from app.billing.periods import one_year_before
from app.database.engine import Database
from app.invoices.jobs import summaries
from app.invoices.jobs.summaries import advance_year_totals, merge_summaries, repair_summaries
from app.outbox.outcome import RetryAfter
from app.settings import Settings
from tests.support.factories import Factories, Row
from tests.support.summaries import (
    ACTIONS,
    OF_CUSTOMERS,
    TALLIED,
    TRUE_TALLIES,
    add_item,
    check,
    rows,
    twelve_invoices,
    year_ago,
)


@pytest.fixture
async def invoices(make: Factories) -> list[Row]:
    return await twelve_invoices(make)


async def test_merging_twice_at_once_loses_and_doubles_nothing(
    database: Database, connection: AsyncConnection, invoices: list[Row]
) -> None:
    async def write(number: int) -> None:
        for action in ACTIONS:
            async with database.transaction() as transaction:
                await action(transaction, invoices[number])
                await asyncio.sleep(0)

    for start in range(0, 12, 4):
        writing = [write(number) for number in range(start, start + 4)]
        await asyncio.gather(
            merge_summaries(database),
            *writing,
            merge_summaries(database),
            merge_summaries(database),
        )
        await check(connection)
    await merge_summaries(database)
    (kinds,) = await rows(connection, "SELECT count(*), count(DISTINCT month) FROM invoice_tallies")
    assert kinds == (12, 12)
    await check(connection)


@pytest.fixture
async def tomorrow(connection: AsyncConnection, invoices: list[Row]) -> None:
    """Half of the invoices were created on the last day that counts today, and not tomorrow."""
    since = await year_ago(connection)
    day = datetime.combine(since, datetime.min.time(), UTC).replace(year=since.year + 1)
    for each, invoice in enumerate(invoices):
        await connection.execute(
            text("UPDATE invoices SET created = :day WHERE id = :id"),
            {"day": since + timedelta(days=each % 2), "id": invoice.id},
        )
    clock.freeze(day + timedelta(days=1, hours=1))


async def since_of_all(connection: AsyncConnection) -> set[date]:
    return {row[0] for row in await rows(connection, "SELECT since FROM customer_year_totals")}


@pytest.mark.usefixtures("tomorrow")
async def test_a_year_is_brought_forward_amid_changes(
    database: Database,
    connection: AsyncConnection,
    invoices: list[Row],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One change commits before, one comes between the statements, one after."""
    tasks: list[asyncio.Task[None]] = []
    statement = summaries._of_year

    async def change(invoice: Row) -> None:
        async with database.transaction() as transaction:
            await add_item(transaction, invoice)

    def between(*arguments: Any) -> Any:
        tasks.extend(asyncio.create_task(change(invoice)) for invoice in invoices[2:4])
        return statement(*arguments)

    monkeypatch.setattr(summaries, "_of_year", between)
    await change(invoices[0])
    await advance_year_totals(database)
    await asyncio.gather(*tasks, change(invoices[5]))
    await check(connection)
    assert len(tasks) == 2
    assert await since_of_all(connection) == {one_year_before(clock.today())}
    (kept,) = await rows(connection, OF_CUSTOMERS)
    assert kept[1:] == (6, Decimal(6 * 12) + Decimal(2 * 7 * 12) / 10)


@pytest.mark.usefixtures("tomorrow")
async def test_a_customer_with_a_change_in_progress_is_retried_later(
    database: Database, connection: AsyncConnection, invoices: list[Row], make: Factories
) -> None:
    other = await make.invoice(await make.customer(), created=await year_ago(connection))
    async with database.transaction() as changing:
        await add_item(changing, invoices[0])
        with pytest.raises(RetryAfter) as later:
            await advance_year_totals(database)
        assert later.value.delay == timedelta(minutes=1)
        assert len(await since_of_all(connection)) == 2  # that of the other has gone forward
        await check(connection)
    await check(connection)
    await add_item(connection, other)
    await advance_year_totals(database)
    assert await since_of_all(connection) == {one_year_before(clock.today())}
    await check(connection)


async def bypass(connection: AsyncConnection) -> None:
    """Change invoices without any trigger."""
    await connection.execute(text("ALTER TABLE invoices DISABLE TRIGGER USER"))
    await connection.execute(text("UPDATE invoices SET state = 'paid' WHERE month IN (1, 2)"))
    await connection.execute(
        text("UPDATE invoices SET total_price = 5, total_cost = 6 WHERE month = 3")
    )
    await connection.execute(text("ALTER TABLE invoices ENABLE TRIGGER USER"))


class Slow(Database):
    """A database whose transactions wait before they commit."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self.mended = asyncio.Event()
        self.may_commit = asyncio.Event()

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncConnection]:
        async with super().transaction() as connection:
            yield connection
            self.mended.set()
            await self.may_commit.wait()


@pytest.mark.usefixtures("invoices")
async def test_drift_is_mended_once(
    database: Database, connection: AsyncConnection, settings: Settings
) -> None:
    before = await rows(connection, "SELECT * FROM invoice_tallies ORDER BY id")
    assert (await repair_summaries(database)).counts == {}
    assert await rows(connection, "SELECT * FROM invoice_tallies ORDER BY id") == before
    await bypass(connection)
    assert await rows(connection, TALLIED) != await rows(connection, TRUE_TALLIES)
    slow = Slow(settings)
    first = asyncio.create_task(repair_summaries(slow))
    await slow.mended.wait()
    second = asyncio.create_task(repair_summaries(database))
    await asyncio.wait([second], timeout=0.5)
    slow.may_commit.set()
    found = await asyncio.gather(first, second)
    await slow.close()
    assert await rows(connection, TALLIED) == await rows(connection, TRUE_TALLIES)
    assert sum(summary.counts["summaries repaired"] for summary in found) == 5
    notes = sorted(note for summary in found for note in summary.notes)
    assert notes[0] == "created of 2026-1 lacked -1 invoices, -10.00 without and -12.00 with tax"
    assert notes[2] == "created of 2026-3 lacked 0 invoices, -5.00 without and -6.00 with tax"
    assert notes[3] == "paid of 2026-1 lacked 1 invoices, 10.00 without and 12.00 with tax"


async def test_drift_is_mended_while_others_write(
    database: Database, connection: AsyncConnection, invoices: list[Row]
) -> None:
    async def write(number: int) -> None:
        for action in ACTIONS:
            async with database.transaction() as transaction:
                await action(transaction, invoices[number])
                await asyncio.sleep(0.01)

    await bypass(connection)
    works: list[Awaitable[object]] = [write(number) for number in range(4)]
    works += [repair_summaries(database), merge_summaries(database), repair_summaries(database)]
    await asyncio.gather(*works)
    assert await rows(connection, TALLIED) == await rows(connection, TRUE_TALLIES)
    assert (await repair_summaries(database)).counts == {}
