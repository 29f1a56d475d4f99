"""An import replaces an invoice with credit notes, unless these give back more than it has then."""

from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from app.audit.actor import Actor
from app.audit.verify import VerificationResult, verify
from app.audit.writer import audited_transaction
from app.billing.enums import InvoiceState
from app.credit_notes.actions.credit import CreditInvoice, CreditItem, credit
from app.database.engine import Database
from app.dataio.import_report import RecordsRejected
from app.dataio.records.customers import CustomerRecord
from app.dataio.records.invoices import InvoiceItemRecord, InvoiceRecord
from app.dataio.records.record import Record
from app.settings import Settings
from tests.dataio.record_factories import build_customer, build_invoice, build_item, import_records

Bill = tuple[CustomerRecord, InvoiceRecord, InvoiceItemRecord, InvoiceItemRecord]


@pytest.fixture
async def bill(database: Database, settings: Settings) -> Bill:
    """An imported invoice of 10 and 5, of which a credit note gives back 4 of the 10."""
    customer = build_customer()
    invoice = build_invoice(customer, number=100500, state=InvoiceState.CREATED)
    first = build_item(invoice, "2", quantity=Decimal(5))
    bill = customer, invoice, first, build_item(invoice, "5")
    await import_records(database, settings, bill)
    async with audited_transaction(database, settings.audit_key, Actor("test")) as connection:
        invoice_id = await connection.scalar(text("SELECT id FROM invoices"))
        assert invoice_id
        part = [CreditItem(first.uuid, quantity=Decimal(2))]
        await credit(connection, CreditInvoice(invoice_id, "Wrong", part), settings)
    return bill


async def totals(connection: AsyncConnection) -> list[tuple[Any, ...]]:
    rows = await connection.execute(
        text("SELECT state, total_price, credited, document_version FROM invoices")
    )
    return [tuple(row) for row in rows]


def changed(record: InvoiceItemRecord | InvoiceRecord, **values: Any) -> Record:
    return record.model_copy(update=values)


async def test_an_item_above_its_credit_notes_is_replaced(
    database: Database, settings: Settings, connection: AsyncConnection, bill: Bill
) -> None:
    customer, invoice, first, second = bill
    more = changed(first, quantity=Decimal(2), price=None)
    less = changed(second, unit_price=Decimal(1), price=None)
    await import_records(database, settings, [customer, invoice, more, less])
    assert await totals(connection) == [("created", Decimal("5.00"), Decimal("4.00"), 2)]
    result = VerificationResult()
    assert [str(each) async for each in verify(database, settings, result)] == []


@pytest.mark.parametrize(
    ("values", "has"),
    [
        ({"quantity": Decimal(1)}, "1 and the price 2.00"),
        ({"unit_price": Decimal(-2)}, "5 and the price -10.00"),
        ({"quantity": Decimal(1), "unit_price": Decimal(10)}, "1 and the price 10.00"),
    ],
)
async def test_an_item_below_its_credit_notes_refuses_the_import(
    *,
    database: Database,
    settings: Settings,
    connection: AsyncConnection,
    bill: Bill,
    values: dict[str, Any],
    has: str,
) -> None:
    before = await totals(connection)
    customer, invoice, first, second = bill
    smaller = changed(first, price=None, **values)
    for keep_good in (False, True):
        records = [customer, invoice, smaller, second]
        with pytest.raises(RecordsRejected) as error:
            await import_records(database, settings, records, keep_good=keep_good)
        (rejected,) = error.value.report.rejected
        assert (rejected.line, rejected.kind, rejected.uuid) == (2, "invoice", invoice.uuid)
        assert rejected.reason == (
            f"item {first.uuid} would have the quantity {has},"
            " and credit notes give back 2 and 4.00 of it"
        )
    assert await totals(connection) == before


async def test_an_item_that_comes_without_its_invoice_is_compared(
    database: Database, settings: Settings, bill: Bill
) -> None:
    smaller = changed(bill[2], price=None, quantity=Decimal(1))
    with pytest.raises(RecordsRejected) as error:
        await import_records(database, settings, [smaller])
    (rejected,) = error.value.report.rejected
    assert (rejected.line, rejected.uuid) == (1, bill[1].uuid)


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"state": InvoiceState.PENDING}, "has credit notes, so that it stays issued"),
        ({"tax_percent": Decimal(20)}, ""),
    ],
)
async def test_an_invoice_with_credit_notes_stays_issued(
    database: Database, settings: Settings, bill: Bill, values: dict[str, Any], reason: str
) -> None:
    records = [bill[0], changed(bill[1], **values), *bill[2:]]
    if not reason:
        await import_records(database, settings, records)
        return
    with pytest.raises(RecordsRejected) as error:
        await import_records(database, settings, records)
    assert error.value.report.rejected[0].reason == reason


async def test_the_credit_notes_do_not_exceed_the_total(
    database: Database, settings: Settings, bill: Bill
) -> None:
    customer, invoice, first, second = bill
    compensation = changed(second, unit_price=Decimal(-7), price=None)
    with pytest.raises(RecordsRejected) as error:
        await import_records(database, settings, [customer, invoice, first, compensation])
    reason = "the total would be 3.00, and credit notes give back 4.00 of it"
    assert error.value.report.rejected[0].reason == reason
