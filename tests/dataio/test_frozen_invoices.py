"""Imports freeze issued invoices, and replace the document of one that they change."""

from collections.abc import Sequence
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from app.audit.verify import VerificationResult, verify
from app.billing.enums import InvoiceState
from app.database.engine import Database
from app.dataio.records.customers import CustomerRecord
from app.dataio.records.invoices import InvoiceItemRecord, InvoiceRecord
from app.dataio.records.record import Record
from app.settings import Settings
from tests.dataio.record_factories import (
    build_customer,
    build_invoice,
    build_item,
    import_records,
)

Bill = tuple[CustomerRecord, InvoiceRecord, InvoiceItemRecord]


@pytest.fixture
def bill() -> Bill:
    customer = build_customer()
    invoice = build_invoice(customer, number=100500, state=InvoiceState.CREATED)
    return customer, invoice, build_item(invoice, "1.50")


async def nets(connection: AsyncConnection) -> list[tuple[int, str, str]]:
    """Each version of the document: its sum, and the name of its buyer."""
    rows = await connection.execute(
        text(
            "SELECT version, content ->> 'net', content -> 'buyer' ->> 'name'"
            " FROM invoice_documents ORDER BY version"
        )
    )
    return [(row[0], row[1], row[2]) for row in rows]


def renamed(records: Sequence[Record], **values: Any) -> CustomerRecord:
    customer = records[0]
    assert isinstance(customer, CustomerRecord)
    return customer.model_copy(update={"name": "Renamed", **values})


async def test_an_issued_invoice_is_frozen_by_its_import(
    database: Database, settings: Settings, connection: AsyncConnection, bill: Bill
) -> None:
    await import_records(database, settings, bill)
    assert await nets(connection) == [(1, "1.50", bill[0].name)]


async def test_an_import_has_the_invoices_represented_that_it_froze(
    database: Database, settings: Settings, connection: AsyncConnection, bill: Bill
) -> None:
    for _ in range(2):
        await import_records(database, settings, bill)
    jobs = (await connection.execute(text("SELECT job FROM outbox WHERE done_at IS NULL"))).all()
    assert [each.job for each in jobs] == ["represent_issued"]


async def test_an_equal_invoice_keeps_its_document(
    database: Database, settings: Settings, connection: AsyncConnection, bill: Bill
) -> None:
    await import_records(database, settings, bill)
    await import_records(database, settings, [renamed(bill), *bill[1:]])
    assert await nets(connection) == [(1, "1.50", bill[0].name)]


async def test_a_changed_item_replaces_the_document_and_is_recorded(
    database: Database, settings: Settings, connection: AsyncConnection, bill: Bill
) -> None:
    await import_records(database, settings, bill)
    customer, invoice, item = bill
    changed = item.model_copy(update={"unit_price": 2 * item.unit_price, "price": None})
    await import_records(database, settings, [renamed(bill), invoice, changed])
    assert await nets(connection) == [(1, "1.50", customer.name), (2, "3.00", "Renamed")]
    result = VerificationResult()
    assert [str(each) async for each in verify(database, settings, result)] == []


async def test_another_state_keeps_the_document(
    database: Database, settings: Settings, connection: AsyncConnection, bill: Bill
) -> None:
    await import_records(database, settings, bill)
    paid = bill[1].model_copy(update={"state": InvoiceState.PAID})
    await import_records(database, settings, [renamed(bill), paid, bill[2]])
    assert [version for version, _, _ in await nets(connection)] == [1]


async def test_a_pending_invoice_is_not_frozen(
    database: Database, settings: Settings, connection: AsyncConnection, bill: Bill
) -> None:
    pending = bill[1].model_copy(update={"state": InvoiceState.PENDING})
    await import_records(database, settings, [bill[0], pending, bill[2]])
    assert await nets(connection) == []
