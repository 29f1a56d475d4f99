"""The taxes of a bill and of its invoices."""

from decimal import Decimal
from typing import Any

from sqlalchemy import select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from app.customers.models import Customer
from app.dataio.focus.import_report import InvoiceOutcome
from app.invoices.models import Invoice
from tests.dataio.focus.bill_importer import (
    OCTOBER,
    BillImporter,
    load_items,
)
from tests.dataio.focus.files import row

TAX = {"ChargeCategory": "Tax", "ChargeDescription": "Excise", "BilledCost": "2.20"}


async def load_total_and_tax(connection: AsyncConnection) -> Any:
    return (await connection.execute(select(Invoice.total_price, Invoice.tax_percent))).one()


async def test_the_tax_is_zero_by_default(
    importer: BillImporter, connection: AsyncConnection
) -> None:
    async def tax() -> Any:
        statement = select(Invoice.tax_percent, Customer.default_tax_percent).join(
            Customer, Customer.id == Invoice.customer_id
        )
        return tuple((await connection.execute(statement)).one())

    await importer(row(), tax_percent=Decimal(20))
    assert await tax() == (20, 20)
    assert await importer.outcomes(row()) == [InvoiceOutcome.UNCHANGED]
    assert await importer.outcomes(row(), tax_percent=Decimal(0)) == [InvoiceOutcome.UPDATED]
    assert (await tax())[0] == 0


async def test_tax_rows_become_items_of_invoices_without_tax(
    importer: BillImporter, connection: AsyncConnection
) -> None:
    rows = [row(BilledCost="10"), row(**TAX), row(**{**TAX, "ChargeCategory": "tax"})]
    message = await importer.refusal(*rows, tax_percent=Decimal(22))
    assert "2 rows of the category Tax, 4.40 EUR in total" in message
    assert "--drop-tax-rows" in message
    report = await importer(*rows)
    message = "Imported as items: 2 tax rows, 4.40 EUR in total. Their invoices have a tax of 0 %."
    assert message in list(report.lines())
    assert await load_total_and_tax(connection) == (Decimal("14.40"), 0)
    assert {item.details["charge_category"] for item in await load_items(connection)} == {
        "Usage",
        "Tax",
    }
    assert await importer.outcomes(*rows, tax_percent=Decimal(0)) == [InvoiceOutcome.UNCHANGED]


async def test_tax_rows_can_be_dropped(importer: BillImporter, connection: AsyncConnection) -> None:
    rows = [row(BilledCost="10"), row(**TAX)]
    report = await importer(*rows, tax_percent=Decimal(22), drop_tax_rows=True)
    assert await load_total_and_tax(connection) == (10, 22)
    assert "Dropped: 1 tax row, 2.20 EUR in total." in list(report.lines())
    assert (report.bill.rows, report.billed) == (1, Decimal(10))


async def test_a_pending_invoice_that_gets_tax_rows_loses_its_tax(
    importer: BillImporter, connection: AsyncConnection
) -> None:
    await importer(row(BilledCost="10"), row(**OCTOBER), tax_percent=Decimal(22))
    rows = [row(BilledCost="10"), row(**TAX), row(**OCTOBER)]
    assert await importer.outcomes(*rows) == [InvoiceOutcome.UPDATED, InvoiceOutcome.UNCHANGED]
    found = select(Invoice.month, Invoice.tax_percent).order_by(Invoice.month)
    taxes = [tuple(each) for each in await connection.execute(found)]
    assert taxes == [(9, Decimal(0)), (10, Decimal(22))]


async def test_an_issued_invoice_with_a_tax_on_tax_rows_is_refused(
    importer: BillImporter, connection: AsyncConnection
) -> None:
    rows = [row(BilledCost="10"), row(**TAX)]
    await importer(*rows, issue=True)
    await connection.execute(text("ALTER TABLE invoices DISABLE TRIGGER USER"))
    await connection.execute(update(Invoice).values(tax_percent=22))
    await connection.execute(text("ALTER TABLE invoices ENABLE TRIGGER USER"))
    assert "is created with a tax of 22.00 %" in await importer.refusal(*rows)
