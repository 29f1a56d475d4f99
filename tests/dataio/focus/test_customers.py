"""Billing accounts become customers."""

from decimal import Decimal

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from app.customers.models import Customer
from app.dataio.focus.bill_reader import read_bill
from app.dataio.focus.bill_writer import BillWriter
from app.dataio.focus.import_report import InvoiceOutcome
from app.dataio.focus.mapping import BillMapper
from app.dataio.focus.options import FocusImportOptions
from app.dataio.loader import import_transaction
from app.invoices.models import Invoice
from tests.dataio.focus.bill_importer import (
    OCTOBER,
    BillImporter,
)
from tests.dataio.focus.files import row, write


async def test_an_account_id_of_two_issuers_is_two_customers(
    importer: BillImporter, connection: AsyncConnection
) -> None:
    ours = row(InvoiceIssuerName="Pilveke AS", BilledCost="10")
    theirs = row(InvoiceIssuerName="Muu OÜ", ProviderName="Muu", BillingAccountName="Other Ltd")
    assert await importer.outcomes(ours) == [InvoiceOutcome.NEW]
    report = await importer(theirs)
    assert [each.outcome for each in report.invoices] == [InvoiceOutcome.NEW]
    assert await importer.outcomes(ours, theirs) == [InvoiceOutcome.UNCHANGED] * 2
    billed = select(Customer.name, Invoice.total_price).join(
        Customer, Customer.id == Invoice.customer_id
    )
    found = (await connection.execute(billed.order_by(Customer.name))).all()
    assert found == [("Other Ltd", Decimal(1)), ("Õunaaed OÜ", Decimal(10))]


async def test_a_bill_of_several_service_providers_has_one_customer(importer: BillImporter) -> None:
    bill = [
        row(InvoiceIssuerName="Pilveke AS", ProviderName=provider, ResourceId=provider)
        for provider in ("Pilveke", "A shop", "Another shop")
    ]
    assert await importer.outcomes(*bill) == [InvoiceOutcome.NEW]


async def test_a_new_customer_with_the_id_of_another_is_reported(importer: BillImporter) -> None:
    await importer(row(InvoiceIssuerName="Pilveke AS"))
    report = await importer(row(InvoiceIssuerName="Pilveke Group"))
    assert "acc-1 of Pilveke Group, Õunaaed OÜ, is a new customer" in report.warnings[0]
    assert (await importer(row(InvoiceIssuerName="Pilveke Group"))).warnings == []


async def create_legacy_customer(importer: BillImporter, connection: AsyncConnection) -> int:
    """Import the basic row as earlier releases did, and return the customer."""
    bill = read_bill([write(importer.directory / "earlier.csv", [row()])])
    bill = bill.with_accounts({key.account: "acc-1" for key in bill.groups})
    mapping = BillMapper(bill, "EUR", Decimal(0))
    async with import_transaction(importer.database, importer.settings) as loader:
        writer = BillWriter(loader, mapping, FocusImportOptions(), lambda _: None)
        await writer.write([], importer.settings)
    return (await connection.execute(select(Invoice.customer_id))).scalar_one()


async def test_a_customer_of_an_earlier_release_keeps_only_its_own_bills(
    importer: BillImporter, connection: AsyncConnection
) -> None:
    customer = await create_legacy_customer(importer, connection)
    assert await importer.outcomes(row(InvoiceIssuerName="Pilveke AS")) == [
        InvoiceOutcome.UNCHANGED
    ]
    theirs = row(InvoiceIssuerName="Muu OÜ", ProviderName="Muu", **OCTOBER)
    report = await importer(theirs)
    assert "is a new customer" in report.warnings[0]
    await importer(row(InvoiceIssuerName="Pilveke AS", **OCTOBER))
    of_october = select(Invoice.customer_id).where(Invoice.month == 10).order_by(Invoice.number)
    other, same = (await connection.execute(of_october)).scalars()
    assert other != customer
    assert same == customer
