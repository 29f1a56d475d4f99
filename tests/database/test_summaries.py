"""The summaries always equal the counts and sums of the invoices."""

import asyncio
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import httpx
import pytest
from alembic import command
from hypothesis import HealthCheck, Phase, given
from hypothesis import settings as configured
from hypothesis import strategies as st
from sqlalchemy import insert, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from app import clock
from app.billing.enums import InvoiceState
from app.billing.periods import Period
from app.database.engine import Database
from app.invoices.jobs.summaries import advance_year_totals, merge_summaries
from app.invoices.models import Invoice
from app.settings import Settings
from tests.database.test_migrations import alembic
from tests.support.databases import migrate
from tests.support.factories import Factories, Row
from tests.support.former_factories import FormerFactories
from tests.support.summaries import ACTIONS, check, rows, twelve_invoices, year_ago

PICKS = st.lists(st.integers(0, 9), min_size=1, max_size=4, unique=True)
ASSIGNMENTS = st.fixed_dictionaries(
    {},
    optional={
        "state": st.sampled_from([*InvoiceState]),
        "tax_percent": st.sampled_from(["0", "7.5", "20"]),
        "created": st.sampled_from([-400, -1, 0, 1, 30]),
        "month": st.integers(1, 3),
        "customer_id": st.integers(0, 2),
        "total_price": st.sampled_from(["0", "0.01", "-5", "99.99"]),
        "backend_id": st.sampled_from(["", "x"]),
        "imported_revision": st.just(True),
    },
).filter(bool)
NEW = st.tuples(st.integers(0, 2), st.integers(1, 3), st.sampled_from([*InvoiceState]))
STEPS = st.one_of(
    st.tuples(st.just("insert"), st.lists(NEW, min_size=1, max_size=4, unique_by=lambda n: n[:2])),
    st.tuples(st.just("delete"), PICKS),
    st.tuples(st.just("update"), st.tuples(PICKS, ASSIGNMENTS)),
    st.tuples(st.just("add items"), PICKS),
    st.tuples(st.just("change items"), PICKS),
    st.tuples(st.just("delete items"), PICKS),
    st.tuples(st.just("merge"), st.none()),
    st.tuples(st.just("bring forward"), st.sampled_from([-1, 1, 30])),
)

SHOWN = """
SELECT id, state, tax_percent, created, month, customer_id, total_price, backend_id FROM invoices
"""
"""Columns that a step may assign, apart from the bookkeeping of imports."""


class Books:
    """Invoices of three customers, and steps that change them."""

    def __init__(self, database: Database, customers: list[Row], since: date) -> None:
        self._database = database
        self._customers = customers
        self._since = since
        self._count = 1000

    async def do(self, what: str, how: Any, *, kept: bool) -> set[int]:
        """Do a step, and commit it or not; return the invoices whose representation may differ."""
        if what == "merge":
            await merge_summaries(self._database)
            return set()
        if what == "bring forward":
            today = datetime.combine(self._since, datetime.min.time(), UTC) + timedelta(days=366)
            clock.freeze(today + timedelta(days=how))
            await advance_year_totals(self._database)
            return set()
        async with self._database.engine.connect() as connection:
            there = [row[0] for row in await rows(connection, "SELECT id FROM invoices ORDER BY 1")]
            try:
                changed = await self._change(connection, what, how, there)
            except IntegrityError:  # two invoices of one month
                kept = False
            if not kept:
                await connection.rollback()
                return set()
            await connection.commit()
        return changed

    async def _change(
        self, connection: AsyncConnection, what: str, how: Any, there: list[int]
    ) -> set[int]:
        if what == "insert":
            await connection.execute(insert(Invoice), [self._new(*each) for each in how])
            return set()
        if not there:
            return set()
        picks, assigned = how if what == "update" else (how, {})
        chosen = {there[pick % len(there)] for pick in picks}
        values = {"ids": list(chosen)}
        if what == "update":
            columns = self._assigned(assigned)
            names = ", ".join(f"{name} = :{name}" for name in columns)
            statement = f"UPDATE invoices SET {names} WHERE id = ANY(:ids)"
            shown = set(await rows(connection, SHOWN))
            await connection.execute(text(statement), values | columns)
            if "imported_revision" not in assigned:
                return chosen
            return {row[0] for row in set(await rows(connection, SHOWN)) - shown}
        if what == "add items":
            for invoice in chosen:
                await Factories(connection).item(Row(invoice, self._customers[0].uuid), "1.005")
            return chosen
        statement = {
            "delete": "DELETE FROM invoices WHERE id = ANY(:ids) RETURNING id",
            "change items": "UPDATE invoice_items SET unit_price = unit_price + 1"
            " WHERE invoice_id = ANY(:ids) RETURNING invoice_id",
            "delete items": "DELETE FROM invoice_items"
            " WHERE invoice_id = ANY(:ids) RETURNING invoice_id",
        }[what]
        return set((await connection.execute(text(statement), values)).scalars())

    def _new(self, customer: int, month: int, state: InvoiceState) -> dict[str, Any]:
        created = self._since + timedelta(days=month - 2)
        owner = self._customers[customer]
        return {
            "uuid": UUID(int=self._next()),
            "customer_id": owner.id, "year": 2026, "month": month, "state": state,
            "tax_percent": Decimal(20), "created": created,
        }  # fmt: skip

    def _next(self) -> int:
        self._count += 1
        return self._count

    def _assigned(self, assigned: dict[str, Any]) -> dict[str, Any]:
        readings: dict[str, Callable[[Any], Any]] = {
            "tax_percent": Decimal,
            "total_price": Decimal,
            "created": lambda days: self._since + timedelta(days=days),
            "customer_id": lambda number: self._customers[number].id,
            "imported_revision": lambda _: self._next(),
        }
        return {name: readings.get(name, lambda v: v)(value) for name, value in assigned.items()}


@given(steps=st.lists(st.tuples(STEPS, st.booleans()), min_size=3, max_size=15))
@configured(
    max_examples=30,
    phases=set(Phase) - {Phase.explain},
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
async def test_summaries_equal_the_invoices_after_any_actions(
    database: Database,
    connection: AsyncConnection,
    steps: list[tuple[tuple[str, Any], bool]],
) -> None:
    # Credit notes refuse it, unless their triggers do not fire.
    await connection.execute(text("SET session_replication_role = replica"))
    await connection.execute(
        text("TRUNCATE customers, invoices, invoice_tallies, customer_year_totals CASCADE")
    )
    await connection.execute(text("RESET session_replication_role"))
    make = Factories(connection)
    customers = [await make.customer() for _ in range(3)]
    books = Books(database, customers, await year_ago(connection))
    await books.do("insert", [(n, m, "created") for n in (0, 1) for m in (1, 2)], kept=True)
    for (what, how), kept in steps:
        before = dict(await rows(connection, "SELECT id, revision FROM invoices"))
        changed = await books.do(what, how, kept=kept)
        await check(connection)
        after = dict(await rows(connection, "SELECT id, revision FROM invoices"))
        left = before.keys() & after.keys()
        assert {each for each in left if after[each] > before[each]} == changed & left
        assert not any(after[each] < before[each] for each in left)


@pytest.fixture
async def invoices(make: Factories) -> list[Row]:
    return await twelve_invoices(make)


@pytest.mark.parametrize("on", ["one invoice", "several"])
async def test_concurrent_actions_all_count(
    database: Database, connection: AsyncConnection, invoices: list[Row], on: str
) -> None:
    async def act(number: int) -> None:
        async with database.transaction() as transaction:
            invoice = invoices[0 if on == "one invoice" else number % 7]
            await ACTIONS[number % 5](transaction, invoice)
            await asyncio.sleep(0.01)

    await asyncio.gather(*(act(number) for number in range(35)))
    await check(connection)
    (added,) = await rows(connection, "SELECT sum(total_price) FROM invoices")
    assert added == (12 * 10 + 14 * 7,)


async def test_paying_does_not_wait_for_an_import(
    client: httpx.AsyncClient,
    database: Database,
    connection: AsyncConnection,
    make: Factories,
    invoices: list[Row],
) -> None:
    """One holds uncommitted rows of the same month and state, and others of the same customer."""
    headers = (await make.staff()).headers
    other = await make.customer()
    async with database.transaction() as importing:
        here = Factories(importing)
        await here.item(await here.invoice(other, Period(2026, 1), InvoiceState.CREATED))
        await here.item(invoices[1])
        async with asyncio.timeout(60):
            url = f"/api/invoices/{invoices[0].uuid}/paid/"
            assert (await client.post(url, headers=headers)).status_code == 200
        await here.item(invoices[0])  # nor are there two who wait for each other
    await check(connection)


@pytest.mark.usefixtures("redis_server")
async def test_the_migration_counts_existing_invoices(
    empty_database_url: str, redis_server: str
) -> None:
    await asyncio.to_thread(migrate, empty_database_url, "0001")
    database = Database(Settings(database_url=empty_database_url))
    async with database.transaction() as connection:
        make = FormerFactories(connection)
        since = await year_ago(connection)
        for number in range(3):
            customer = await make.customer()
            for month in range(1, 4):
                created = since + timedelta(days=month - 1 - number)
                state = (InvoiceState.CREATED, InvoiceState.PAID, InvoiceState.CANCELED)[month - 1]
                invoice = await make.invoice(customer, Period(2026, month), state, created=created)
                await make.item(invoice, "1.005")
        before = await rows(connection, "SELECT id, revision FROM invoices ORDER BY id")
    await asyncio.to_thread(migrate, empty_database_url)
    async with database.reading() as connection:
        await check(connection)
        assert await rows(connection, "SELECT count(*) FROM invoice_tallies") == [(3,)]
        counted = await rows(connection, "SELECT invoices FROM customer_year_totals ORDER BY 1")
        assert counted == [(1,), (2,), (3,)]
        assert await rows(connection, "SELECT id, revision FROM invoices ORDER BY id") == before
        await connection.execute(text("DELETE FROM invoices WHERE month = 2"))
        await check(connection)
    await database.close()
    await asyncio.to_thread(command.downgrade, alembic(empty_database_url), "0001")
    database = Database(Settings(database_url=empty_database_url))
    async with database.transaction() as connection:
        await connection.execute(text("UPDATE invoices SET state = 'paid'"))
        await connection.execute(text("UPDATE customers SET name = 'After'"))
        await connection.execute(text("DELETE FROM invoices WHERE month = 1"))
    await database.close()
    await asyncio.to_thread(migrate, empty_database_url)
    database = Database(Settings(database_url=empty_database_url))
    async with database.reading() as connection:
        await check(connection)
    await database.close()
