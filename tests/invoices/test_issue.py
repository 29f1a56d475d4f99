from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from app import clock
from app.billing import money
from app.billing.currencies import get_currency
from app.billing.enums import InvoiceState, PaymentType
from app.database.engine import Database
from app.invoices.actions.issue import IssueInvoice, issue
from app.invoices.errors import WrongInvoiceState
from app.invoices.models import Invoice
from app.invoices.states import ISSUE
from app.outbox.models import OutboxEntry
from app.payments.models import Payment
from app.settings import Settings
from tests.support.factories import Factories, Row


@pytest.fixture(autouse=True)
def _first_of_november() -> None:
    clock.freeze(datetime(2026, 11, 1, 0, 5, tzinfo=UTC))


@pytest.fixture
def notifying(settings: Settings) -> Settings:
    return settings.model_copy(update={"notify_on_issue": True, "payment_interval_days": 14})


async def read(connection: AsyncConnection, invoice: Row) -> Any:
    return (
        await connection.execute(select(Invoice.__table__).where(Invoice.id == invoice.id))
    ).one()


async def notified(connection: AsyncConnection) -> list[str]:
    entries = await connection.execute(select(OutboxEntry.job, OutboxEntry.arguments))
    assert {entry.job for entry in entries} <= {"notify"}
    entries = await connection.execute(select(OutboxEntry.arguments))
    return [entry.arguments["invoice"] for entry in entries]


async def test_a_pending_invoice_is_issued_once(
    make: Factories, connection: AsyncConnection, notifying: Settings
) -> None:
    invoice = await make.invoice(await make.customer())
    await make.item(invoice, "5")
    assert (
        await issue(connection, IssueInvoice(invoice.id), notifying)
    ).state is InvoiceState.CREATED
    row = await read(connection, invoice)
    assert (row.state, row.invoice_date, row.due_date) == (
        "created",
        date(2026, 11, 1),
        date(2026, 11, 15),
    )
    with pytest.raises(WrongInvoiceState):
        await issue(connection, IssueInvoice(invoice.id), notifying)
    assert (await read(connection, invoice)).revision == row.revision
    assert await notified(connection) == [str(invoice.uuid)]


@pytest.mark.parametrize("state", [s for s in InvoiceState if s not in ISSUE.valid])
async def test_only_pending_ones_are_issued(
    make: Factories, connection: AsyncConnection, notifying: Settings, state: InvoiceState
) -> None:
    invoice = await make.invoice(await make.customer(), state=state)
    await make.item(invoice)
    with pytest.raises(WrongInvoiceState):
        await issue(connection, IssueInvoice(invoice.id), notifying)
    assert (await read(connection, invoice)).state == state
    assert await notified(connection) == []


async def test_a_fixed_price_contract_is_paid_and_not_written_about(
    make: Factories, connection: AsyncConnection, notifying: Settings
) -> None:
    customer = await make.customer()
    await make.profile(customer, payment_type=PaymentType.FIXED_PRICE)
    other = await make.customer()
    await make.profile(other, payment_type=PaymentType.FIXED_PRICE, is_active=False)
    await make.profile(other, payment_type=PaymentType.INVOICES)
    paid, created = await make.invoice(customer), await make.invoice(other)
    for invoice in (paid, created):
        await make.item(invoice)
        await issue(connection, IssueInvoice(invoice.id), notifying)
    assert (await read(connection, paid)).state == "paid"
    assert (await read(connection, paid)).invoice_date == date(2026, 11, 1)
    assert (await read(connection, created)).state == "created"
    assert await notified(connection) == [str(created.uuid)]


async def test_an_invoice_of_zero_is_paid_at_once_and_no_payment_is_recorded(
    make: Factories, connection: AsyncConnection, notifying: Settings
) -> None:
    customer = await make.customer()
    await make.profile(customer)
    empty = await make.invoice(customer)
    assert (await issue(connection, IssueInvoice(empty.id), notifying)).state is InvoiceState.PAID
    row = await read(connection, empty)
    assert (row.state, row.invoice_date, row.due_date) == (
        "paid",
        date(2026, 11, 1),
        date(2026, 11, 15),
    )
    assert (await connection.execute(select(Payment.id))).all() == []
    with pytest.raises(WrongInvoiceState):
        await issue(connection, IssueInvoice(empty.id), notifying)


async def test_a_zero_is_written_about_where_credits_paid_for_something(
    make: Factories, connection: AsyncConnection, notifying: Settings
) -> None:
    empty = await make.invoice(await make.customer())
    free = await make.invoice(await make.customer())
    await make.item(free, "0")
    credited = await make.invoice(await make.customer())
    await make.item(credited, "5")
    await make.item(credited, "-5", credit=True)
    for invoice in (empty, free, credited):
        assert (
            await issue(connection, IssueInvoice(invoice.id), notifying)
        ).state is InvoiceState.PAID
    assert await notified(connection) == [str(credited.uuid)]


async def test_an_invoice_in_the_customers_favour_is_created_and_written_about(
    make: Factories, connection: AsyncConnection, notifying: Settings
) -> None:
    refund = await make.invoice(await make.customer())
    await make.item(refund, Decimal(-5))
    assert (
        await issue(connection, IssueInvoice(refund.id), notifying)
    ).state is InvoiceState.CREATED
    assert await notified(connection) == [str(refund.uuid)]


async def test_a_fixed_price_contract_is_not_written_about_a_zero_either(
    make: Factories, connection: AsyncConnection, notifying: Settings
) -> None:
    customer = await make.customer()
    await make.profile(customer, payment_type=PaymentType.FIXED_PRICE)
    invoice = await make.invoice(customer)
    await make.item(invoice, "5")
    await make.item(invoice, "-5", credit=True)
    assert (await issue(connection, IssueInvoice(invoice.id), notifying)).state is InvoiceState.PAID
    assert await notified(connection) == []


@given(
    price=st.decimals(min_value=-(10**9), max_value=10**9, places=2),
    percent=st.decimals(min_value=0, max_value=99, places=2),
)
def test_a_total_has_the_sign_of_its_price(price: Decimal, percent: Decimal) -> None:
    # So it does not matter for zero and favour whether tax is looked at, nor when it is rounded.
    to_be_paid = money.round_half_up(money.with_tax(price, percent), get_currency("EUR"))
    assert to_be_paid.compare(Decimal(0)) == price.compare(Decimal(0))


async def test_imported_ones_are_written_about_only_if_asked(
    make: Factories, connection: AsyncConnection, notifying: Settings
) -> None:
    silent = await make.invoice(await make.customer(), source="focus")
    asked = await make.invoice(await make.customer(), source="focus")
    for invoice in (silent, asked):
        await make.item(invoice)
    await issue(connection, IssueInvoice(silent.id), notifying)
    await issue(connection, IssueInvoice(asked.id, notify_imported=True), notifying)
    assert await notified(connection) == [str(asked.uuid)]


async def test_nobody_is_written_to_by_default(
    make: Factories, connection: AsyncConnection, settings: Settings
) -> None:
    invoice = await make.invoice(await make.customer())
    await make.item(invoice)
    await issue(connection, IssueInvoice(invoice.id), settings)
    assert await notified(connection) == []


async def test_a_rolled_back_issue_is_none(
    make: Factories, database: Database, connection: AsyncConnection, notifying: Settings
) -> None:
    invoice = await make.invoice(await make.customer())
    await make.item(invoice)
    async with database.engine.connect() as transaction:
        await issue(transaction, IssueInvoice(invoice.id), notifying)
        await transaction.rollback()
    assert (await read(connection, invoice)).state == "pending"
    assert await notified(connection) == []
