from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from app import clock
from app.billing.vocabulary import InvoiceState, PaymentType
from app.database.engine import Database
from app.invoices.issue import issue
from app.invoices.tables import Invoice
from app.outbox.tables import OutboxEntry
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
    assert await issue(connection, invoice.id, notifying) is InvoiceState.CREATED
    row = await read(connection, invoice)
    assert (row.state, row.invoice_date, row.due_date) == (
        "created",
        date(2026, 11, 1),
        date(2026, 11, 15),
    )
    assert await issue(connection, invoice.id, notifying) is None
    assert (await read(connection, invoice)).revision == row.revision
    assert await notified(connection) == [str(invoice.uuid)]


@pytest.mark.parametrize("state", [s for s in InvoiceState if s is not InvoiceState.PENDING])
async def test_only_pending_ones_are_issued(
    make: Factories, connection: AsyncConnection, notifying: Settings, state: InvoiceState
) -> None:
    invoice = await make.invoice(await make.customer(), state=state)
    await make.item(invoice)
    assert await issue(connection, invoice.id, notifying) is None
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
        await issue(connection, invoice.id, notifying)
    assert (await read(connection, paid)).state == "paid"
    assert (await read(connection, paid)).invoice_date == date(2026, 11, 1)
    assert (await read(connection, created)).state == "created"
    assert await notified(connection) == [str(created.uuid)]


async def test_a_zero_is_not_written_about_but_a_refund_is(
    make: Factories, connection: AsyncConnection, notifying: Settings
) -> None:
    empty = await make.invoice(await make.customer())
    even = await make.invoice(await make.customer())
    await make.item(even, "5")
    await make.item(even, "-5")
    refund = await make.invoice(await make.customer())
    await make.item(refund, Decimal(-5))
    for invoice in (empty, even, refund):
        assert await issue(connection, invoice.id, notifying) is InvoiceState.CREATED
    assert await notified(connection) == [str(refund.uuid)]


async def test_imported_ones_are_written_about_only_if_asked(
    make: Factories, connection: AsyncConnection, notifying: Settings
) -> None:
    silent = await make.invoice(await make.customer(), source="focus")
    asked = await make.invoice(await make.customer(), source="focus")
    for invoice in (silent, asked):
        await make.item(invoice)
    await issue(connection, silent.id, notifying)
    await issue(connection, asked.id, notifying, notify_imported=True)
    assert await notified(connection) == [str(asked.uuid)]


async def test_nobody_is_written_to_by_default(
    make: Factories, connection: AsyncConnection, settings: Settings
) -> None:
    invoice = await make.invoice(await make.customer())
    await make.item(invoice)
    await issue(connection, invoice.id, settings)
    assert await notified(connection) == []


async def test_a_rolled_back_issue_is_none(
    make: Factories, database: Database, connection: AsyncConnection, notifying: Settings
) -> None:
    invoice = await make.invoice(await make.customer())
    await make.item(invoice)
    async with database.engine.connect() as transaction:
        await issue(transaction, invoice.id, notifying)
        await transaction.rollback()
    assert (await read(connection, invoice)).state == "pending"
    assert await notified(connection) == []
