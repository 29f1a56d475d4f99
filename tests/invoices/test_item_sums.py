"""After any sequence of changes of items, the totals of invoices are the sums of their prices."""

from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, Phase, given
from hypothesis import settings as configured
from hypothesis import strategies as st
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from app import clock
from app.billing.currencies import get_currency
from app.billing.enums import InvoiceState
from app.billing.periods import Period
from app.database.engine import Database
from app.domain_errors import DomainError
from app.invoices.actions.change_item import (
    ChangeItem,
    CompensateItem,
    MoveItem,
    change_item,
    compensate_item,
    delete_item,
    move_item,
)
from app.invoices.actions.import_usage import ImportUsage, UsageLine, import_usage
from app.invoices.models import Invoice, InvoiceItem
from app.invoices.states import CHANGEABLE
from tests.support.factories import Factories, Row

EUR = get_currency("EUR")
NOVEMBER = Period(2026, 11)
STATES = (
    InvoiceState.PENDING,
    InvoiceState.PENDING_FINALIZATION,
    InvoiceState.CREATED,
    InvoiceState.PAID,
)
AMOUNTS = st.decimals("-1000", "1000", places=10)
PICKS = st.integers(0, 20)
STEPS = st.one_of(
    st.tuples(st.just("change"), PICKS, st.tuples(AMOUNTS, AMOUNTS)),
    st.tuples(st.just("delete"), PICKS, st.none()),
    st.tuples(st.just("move"), PICKS, st.integers(0, 3)),
    st.tuples(st.just("compensate"), PICKS, st.none()),
    st.tuples(st.just("import"), st.integers(0, 3), st.lists(AMOUNTS, max_size=3)),
)


async def do(
    connection: AsyncConnection,
    invoices: Sequence[Row],
    customer: Row,
    step: tuple[str, int, Any],
) -> None:
    """Do a step; raises a `DomainError` if a rule forbids it."""
    what, pick, how = step
    if what == "import":
        lines = [UsageLine(f"Line {n}", price, "", customer.uuid) for n, price in enumerate(how)]
        await import_usage(connection, ImportUsage(NOVEMBER.shifted(-pick), lines), EUR)
        return
    statement = select(InvoiceItem.uuid).order_by(InvoiceItem.id)
    found = (await connection.execute(statement)).scalars().all()
    if not found:
        return
    item: UUID = found[pick % len(found)]
    match what:
        case "change":
            command = ChangeItem(item, unit_price=how[0], quantity=how[1])
            await change_item(connection, command, EUR)
        case "delete":
            await delete_item(connection, item)
        case "move":
            await move_item(connection, MoveItem(item, invoices[how].uuid))
        case "compensate":
            await compensate_item(connection, CompensateItem(item, "CPU"))


async def total(connection: AsyncConnection, invoice: Row) -> Decimal:
    statement = select(Invoice.total_price).where(Invoice.id == invoice.id)
    return Decimal((await connection.execute(statement)).scalar_one())


async def check(connection: AsyncConnection) -> None:
    """Compare each invoice's totals with the sums over its items."""
    exact = InvoiceItem.unit_price * InvoiceItem.quantity
    sums = (
        func.coalesce(func.sum(InvoiceItem.price), 0),
        func.coalesce(func.sum(exact).filter(~InvoiceItem.credit), 0),
        func.coalesce(func.sum(exact).filter(InvoiceItem.credit), 0),
    )
    totals = (Invoice.total_price, Invoice.incurred_costs, Invoice.compensations)
    statement = (
        select(*totals, *sums)
        .outerjoin(InvoiceItem, InvoiceItem.invoice_id == Invoice.id)
        .group_by(Invoice.id)
    )
    for row in await connection.execute(statement):
        assert tuple(row[:3]) == tuple(row[3:])


@pytest.fixture
async def customer(make: Factories) -> Row:
    return await make.customer()


@pytest.fixture
async def invoices(make: Factories, customer: Row) -> list[Row]:
    """Invoices of four months with three items each; the first two may change."""
    clock.freeze(datetime(2026, 11, 23, tzinfo=UTC))
    made = []
    for months, state in enumerate(STATES):
        dates: dict[str, Any] = {"invoice_date": None} if state in CHANGEABLE else {}
        made.append(await make.invoice(customer, NOVEMBER.shifted(-months), state, **dates))
        for price in ("10", "0.333", "-4"):
            await make.item(made[-1], price)
    return made


@given(steps=st.lists(STEPS, min_size=1, max_size=8))
@configured(
    max_examples=25,
    phases=set(Phase) - {Phase.explain},
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
async def test_totals_are_the_sums_of_prices_after_any_changes(
    database: Database,
    customer: Row,
    invoices: list[Row],
    steps: list[tuple[str, int, Any]],
) -> None:
    async with database.engine.connect() as connection:
        before = [await total(connection, invoice) for invoice in invoices[2:]]
        for step in steps:
            with suppress(DomainError):
                async with connection.begin_nested():
                    await do(connection, invoices, customer, step)
            await check(connection)
        after = [await total(connection, invoice) for invoice in invoices[2:]]
        assert after == before  # they were issued
        await connection.rollback()
