"""Credits pay items of an invoice when it is issued, and every movement is in the ledger."""

import asyncio
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as configured
from hypothesis import strategies as st
from sqlalchemy import func, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from app import clock
from app.billing.currencies import get_currency
from app.billing.enums import InvoiceState
from app.billing.periods import Period
from app.credit_notes.actions.cancel import CancelInvoice, cancel
from app.credits.models import CreditTransaction, CustomerCredit, ProjectCredit
from app.database.engine import Database
from app.invoices.actions.apply_compensations import (
    ApplyCompensations,
    ClearCompensations,
    apply_compensations,
    clear_compensations,
)
from app.invoices.actions.change_item import CompensateItem, compensate_item
from app.invoices.actions.issue import IssueInvoice, issue
from app.invoices.errors import WrongInvoiceState
from app.invoices.jobs import close_month as module
from app.invoices.jobs.close_month import close_month
from app.invoices.models import Invoice, InvoiceItem
from app.settings import Settings
from tests.support.factories import Factories, Row

EUR = get_currency("EUR")


@pytest.fixture(autouse=True)
def _first_of_november() -> None:
    clock.freeze(datetime(2026, 11, 1, 0, 5, tzinfo=UTC))


async def items(connection: AsyncConnection, invoice: Row) -> list[tuple[str, Decimal]]:
    statement = (
        select(InvoiceItem.name, InvoiceItem.price)
        .where(InvoiceItem.invoice_id == invoice.id)
        .order_by(InvoiceItem.id)
    )
    return [(row[0], row[1]) for row in await connection.execute(statement)]


async def balance(connection: AsyncConnection, credit: Row, table: Any = CustomerCredit) -> Decimal:
    statement = select(table.value).where(table.id == credit.id)
    return Decimal((await connection.execute(statement)).scalar_one())


async def ledger(connection: AsyncConnection) -> list[tuple[str, Decimal]]:
    statement = select(CreditTransaction.transaction_type, CreditTransaction.amount)
    rows = await connection.execute(statement.order_by(CreditTransaction.id))
    return [(row[0], row[1]) for row in rows]


async def test_credits_pay_items_of_the_invoice_that_is_issued(
    make: Factories, connection: AsyncConnection, settings: Settings
) -> None:
    customer = await make.customer()
    credit = await make.credit(customer, "25")
    project = await make.project(customer, name="Search")
    invoice = await make.invoice(customer)
    paid = await make.item(invoice, "10", name="Disk", project_id=project.id, details={"a": 1})
    await make.item(invoice, "30", name="Server")
    newest = await make.invoice(customer, Period(2026, 11))
    await make.item(newest, "5")
    assert (await issue(connection, IssueInvoice(invoice.id), settings)).state == "created"
    assert await items(connection, invoice) == [
        ("Disk", Decimal(10)),
        ("Server", Decimal(30)),
        ("Credit compensation. Disk", Decimal("-10.00")),
        ("Credit compensation. Server", Decimal("-12.50")),
    ]
    assert await balance(connection, credit) == 0
    assert len(await items(connection, newest)) == 1
    compensation = (
        await connection.execute(
            select(InvoiceItem.__table__).where(InvoiceItem.name == "Credit compensation. Disk")
        )
    ).one()
    assert compensation.credit
    assert compensation.customer_credit_id == credit.id
    assert (compensation.project_name, compensation.project_uuid) == ("Search", project.uuid)
    assert compensation.details == {
        "a": 1,
        "is_compensation": True,
        "compensation_of_item": paid.uuid.hex,
    }
    (row,) = await connection.execute(select(CreditTransaction.__table__))
    assert (row.amount, row.transaction_type) == (Decimal(-25), "compensation")
    assert (row.customer_uuid, row.customer_credit_uuid) == (customer.uuid, credit.uuid)
    assert (row.billing_period, row.invoice_uuid) == (date(2026, 10, 1), invoice.uuid)
    assert row.created_at == clock.now()


async def test_an_invoice_that_credits_pay_whole_is_paid_at_once(
    make: Factories, connection: AsyncConnection, settings: Settings
) -> None:
    customer = await make.customer()
    await make.credit(customer, "100")
    invoice = await make.invoice(customer)
    await make.item(invoice, "10")
    assert (await issue(connection, IssueInvoice(invoice.id), settings)).state == "paid"


async def test_an_issued_invoice_and_its_compensations_remain(
    make: Factories, connection: AsyncConnection, settings: Settings
) -> None:
    customer = await make.customer()
    credit = await make.credit(customer, "5")
    invoice = await make.invoice(customer)
    await make.item(invoice, "10")
    await issue(connection, IssueInvoice(invoice.id), settings)
    for action, command in (
        (apply_compensations, (ApplyCompensations(invoice.id), EUR)),
        (clear_compensations, (ClearCompensations(invoice.id),)),
    ):
        with pytest.raises(WrongInvoiceState):
            await action(connection, *command)
    assert await balance(connection, credit) == 0


async def test_only_items_of_the_offerings_of_the_credit_are_paid(
    make: Factories, connection: AsyncConnection
) -> None:
    customer = await make.customer()
    credit = await make.credit(customer)
    cloud, other = await make.offering(), await make.offering()
    await make.credit_offering(credit, cloud)
    resource = await make.resource(await make.project(customer), cloud)
    invoice = await make.invoice(customer)
    await make.item(invoice, "1", name="By resource", resource_id=resource.id)
    await make.item(invoice, "2", name="By offering", offering_id=cloud.id)
    await make.item(invoice, "3", name="Another", offering_id=other.id)
    await make.item(invoice, "4", name="None")
    await apply_compensations(connection, ApplyCompensations(invoice.id), EUR)
    assert (await items(connection, invoice))[4:] == [
        ("Credit compensation. By resource", Decimal(-1)),
        ("Credit compensation. By offering", Decimal(-2)),
    ]


async def test_discounts_count_against_their_item_and_only_charges_are_paid(
    make: Factories, connection: AsyncConnection
) -> None:
    customer = await make.customer()
    await make.credit(customer)
    invoice = await make.invoice(customer)
    item = await make.item(invoice, "10", name="Disk")
    await make.item(invoice, "-3", details={"is_discount": True, "discount_of_item": item.uuid.hex})
    await make.item(invoice, "-1", credit=True)
    await make.item(invoice, "0")
    await apply_compensations(connection, ApplyCompensations(invoice.id), EUR)
    assert (await items(connection, invoice))[4:] == [("Credit compensation. Disk", Decimal(-7))]


async def test_a_compensation_by_hand_counts_against_its_item(
    make: Factories, connection: AsyncConnection
) -> None:
    customer = await make.customer()
    await make.credit(customer)
    invoice = await make.invoice(customer, Period(2026, 11))
    await make.item(invoice, "7", name="Whole")
    item = await make.item(invoice, "10", name="Part")
    await compensate_item(connection, CompensateItem(item.uuid, "CPU"))
    await apply_compensations(connection, ApplyCompensations(invoice.id), EUR)
    assert (await items(connection, invoice))[3:] == [
        ("Credit compensation. Whole", Decimal(-7)),
    ]


async def test_the_credit_of_a_project_and_the_minimal_consumption_have_rows_of_their_own(
    make: Factories, connection: AsyncConnection
) -> None:
    customer = await make.customer()
    credit = await make.credit(customer, "100", expected_consumption=Decimal(50))
    project = await make.project(customer, name="Search")
    share = await make.project_credit(project, "20")
    invoice = await make.invoice(customer)
    resource = await make.resource(project, await make.offering())
    await make.item(invoice, "30", resource_id=resource.id)
    await apply_compensations(connection, ApplyCompensations(invoice.id), EUR)
    assert await ledger(connection) == [
        ("compensation", Decimal(-20)),
        ("minimal_draw", Decimal(-30)),
        ("compensation", Decimal(-20)),
    ]
    assert await balance(connection, credit) == 50
    assert await balance(connection, share, ProjectCredit) == 0
    row = (
        await connection.execute(
            select(CreditTransaction.__table__).where(
                CreditTransaction.project_credit_uuid == share.uuid
            )
        )
    ).one()
    assert (row.project_uuid, row.project_name) == (project.uuid, "Search")


async def test_a_change_of_items_is_followed(make: Factories, connection: AsyncConnection) -> None:
    customer = await make.customer()
    credit = await make.credit(customer)
    invoice = await make.invoice(customer)
    await make.item(invoice, "10", name="Disk")
    await apply_compensations(connection, ApplyCompensations(invoice.id), EUR)
    await make.item(invoice, "1", name="Added")
    assert (await apply_compensations(connection, ApplyCompensations(invoice.id), EUR)).changed
    assert await ledger(connection) == [
        ("compensation", Decimal(-10)),
        ("rollback", Decimal(10)),
        ("compensation", Decimal(-11)),
    ]
    assert await balance(connection, credit) == 89


async def test_imported_compensations_without_a_ledger_stay_and_nothing_is_added(
    make: Factories, connection: AsyncConnection
) -> None:
    customer = await make.customer()
    credit = await make.credit(customer)
    invoice = await make.invoice(customer)
    await make.item(invoice, "10")
    await make.item(invoice, "-4", credit=True, customer_credit_id=credit.id)
    before = await items(connection, invoice)
    await apply_compensations(connection, ApplyCompensations(invoice.id), EUR)
    await clear_compensations(connection, ClearCompensations(invoice.id))
    assert await items(connection, invoice) == before
    assert await balance(connection, credit) == 100


async def test_a_canceled_invoice_gives_its_credits_back(
    make: Factories, connection: AsyncConnection, database: Database, settings: Settings
) -> None:
    customer = await make.customer()
    credit = await make.credit(customer, "5")
    invoice = await make.invoice(customer)
    await make.item(invoice, "10")
    await issue(connection, IssueInvoice(invoice.id), settings)
    before = await items(connection, invoice)
    async with database.transaction() as transaction:
        await cancel(transaction, CancelInvoice(invoice.id, "Wrong"), settings)
    assert await balance(connection, credit) == 5
    assert await items(connection, invoice) == before
    assert (await ledger(connection))[-1] == ("rollback", Decimal(5))


async def test_the_expectation_of_a_linear_credit_advances_when_the_invoice_is_issued(
    make: Factories, connection: AsyncConnection, settings: Settings
) -> None:
    customer = await make.customer()
    credit = await make.credit(
        customer, "71", end_date=date(2027, 1, 1), minimal_consumption_logic="linear"
    )
    invoice = await make.invoice(customer)
    await make.item(invoice, "10")
    expected = select(CustomerCredit.expected_consumption).where(CustomerCredit.id == credit.id)
    await apply_compensations(connection, ApplyCompensations(invoice.id), EUR)
    assert (await connection.execute(expected)).scalar_one() == 0
    await issue(connection, IssueInvoice(invoice.id), settings)
    assert (await connection.execute(expected)).scalar_one() == 30


async def test_a_credit_is_zeroed_on_its_end_after_the_invoice_that_it_pays(
    make: Factories, database: Database, connection: AsyncConnection, settings: Settings
) -> None:
    customer = await make.customer()
    credit = await make.credit(customer, "100", end_date=date(2026, 11, 1))
    invoice = await make.invoice(customer)
    await make.item(invoice, "10")
    ended = await make.credit(await make.customer(), "7", end_date=date(2026, 10, 1))
    running = await make.credit(await make.customer(), "8", end_date=date(2026, 12, 1))
    summary = await close_month(database, settings)
    assert summary.counts["credits expired"] == 2
    assert not summary.failures
    assert (await items(connection, invoice))[1][1] == -10
    assert await ledger(connection) == [
        ("compensation", Decimal(-10)),
        ("expiry", Decimal(-90)),
        ("expiry", Decimal(-7)),
    ]
    assert [await balance(connection, each) for each in (credit, ended, running)] == [0, 0, 8]
    assert (await close_month(database, settings)).counts["credits expired"] == 0


async def test_the_invoices_of_older_months_are_paid_first(
    make: Factories,
    database: Database,
    connection: AsyncConnection,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "_BATCH", 2)
    customer = await make.customer()
    await make.credit(customer, "25")
    order = [Period(2026, 10), Period(2025, 12), Period(2026, 9), Period(2026, 2)]
    made = {each: await make.invoice(customer, each, tax_percent=Decimal(0)) for each in order}
    for invoice in made.values():
        await make.item(invoice, "10")
    await close_month(database, settings)
    paid = [sum(price for _, price in (await items(connection, made[key]))) for key in sorted(made)]
    assert paid == [0, 0, 5, 10]


async def test_the_rest_of_a_removed_project_is_taken_from_the_customer_where_that_is_agreed(
    make: Factories, database: Database, connection: AsyncConnection, settings: Settings
) -> None:
    customer = await make.customer()
    credit = await make.credit(customer, "100")
    spent = await make.project(customer, is_removed=True, name="Gone")
    released = await make.project(customer, is_removed=True)
    await make.project_credit(spent, "30", mark_unused_credit_as_spent_on_project_termination=True)
    await make.project_credit(released, "20")
    assert (await close_month(database, settings)).counts["credits expired"] == 2
    assert await balance(connection, credit) == 70


async def test_the_credit_of_a_removed_project_remains_for_its_resources_on_unissued_invoices(
    make: Factories, database: Database, connection: AsyncConnection, settings: Settings
) -> None:
    customer = await make.customer()
    await make.credit(customer, "100")
    project = await make.project(customer, is_removed=True)
    share = await make.project_credit(project, "30")
    resource = await make.resource(project, await make.offering())
    november = await make.invoice(customer, Period(2026, 11))
    await make.item(november, "10", resource_id=resource.id)
    assert (await close_month(database, settings)).counts["credits expired"] == 0
    await connection.execute(text("UPDATE invoices SET state = 'paid'"))
    assert (await close_month(database, settings)).counts["credits expired"] == 1
    assert await balance(connection, share, ProjectCredit) == 0


async def test_a_customer_whose_credits_fail_stops_nobody(
    make: Factories, database: Database, connection: AsyncConnection, settings: Settings
) -> None:
    broken, other = await make.customer(), await make.customer()
    for customer in (broken, other):
        await make.credit(customer)
        await make.item(await make.invoice(customer), "10")
    await connection.execute(
        text(
            f"ALTER TABLE credit_transactions ADD CONSTRAINT broken"
            f" CHECK (customer_uuid <> '{broken.uuid}')"
        )
    )
    summary = await close_month(database, settings)
    assert summary.counts["issued as paid"] == 1
    assert [line.split(":")[0] for line in summary.failures] == ["invoice 100001"]
    states = select(Invoice.state).where(Invoice.customer_id == broken.id, Invoice.month == 10)
    assert (await connection.execute(states)).scalar_one() == "pending"


async def test_two_closings_at_once_pay_once(
    make: Factories, database: Database, connection: AsyncConnection, settings: Settings
) -> None:
    customer = await make.customer()
    credit = await make.credit(customer)
    for month in (8, 9, 10):
        await make.item(await make.invoice(customer, Period(2026, month)), "10")
    await asyncio.gather(*(close_month(database, settings) for _ in range(3)))
    assert await balance(connection, credit) == 70
    assert await ledger(connection) == [("compensation", Decimal(-10))] * 3


prices = st.lists(st.decimals("-5", "60", places=2), min_size=1, max_size=6)
amounts = st.decimals(0, 90, places=5)


@given(prices=prices, value=amounts, share=amounts, expected=amounts, tax=st.sampled_from([0, 22]))
@configured(
    max_examples=20,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
async def test_applying_twice_is_once_and_clearing_gives_back_exactly(  # noqa: PLR0917
    prices: list[Decimal],
    value: Decimal,
    share: Decimal,
    expected: Decimal,
    tax: int,
    make: Factories,
    connection: AsyncConnection,
) -> None:
    customer = await make.customer()
    rules = {"expected_consumption": expected}
    credit = await make.credit(customer, str(value), **rules)
    project = await make.project(customer)
    project_credit = await make.project_credit(project, str(share), **rules)
    invoice = await make.invoice(customer, tax_percent=Decimal(tax))
    for number, price in enumerate(prices):
        await make.item(invoice, price, project_id=project.id if number % 2 else None)

    async def balances() -> tuple[Decimal, Decimal]:
        return (
            await balance(connection, credit),
            await balance(connection, project_credit, ProjectCredit),
        )

    async def sums() -> tuple[Decimal, Decimal]:
        total = select(func.coalesce(func.sum(CreditTransaction.amount), 0))
        of = (
            CreditTransaction.customer_credit_uuid == credit.uuid,
            CreditTransaction.project_credit_uuid == project_credit.uuid,
        )
        return tuple([(await connection.execute(total.where(each))).scalar_one() for each in of])  # type: ignore[return-value]

    original = await items(connection, invoice)
    await apply_compensations(connection, ApplyCompensations(invoice.id), EUR)
    first = (await items(connection, invoice), await balances(), await sums())
    assert min(first[1]) >= 0
    assert first[1] == (value + first[2][0], share + first[2][1])
    assert not (await apply_compensations(connection, ApplyCompensations(invoice.id), EUR)).changed
    assert (await items(connection, invoice), await balances(), await sums()) == first
    await clear_compensations(connection, ClearCompensations(invoice.id))
    assert await items(connection, invoice) == original
    assert await balances() == (value, share)
    assert not any(await sums())
    assert not (await clear_compensations(connection, ClearCompensations(invoice.id))).changed
    total = (
        await connection.execute(select(Invoice.state).where(Invoice.id == invoice.id))
    ).scalar_one()
    assert total == InvoiceState.PENDING
