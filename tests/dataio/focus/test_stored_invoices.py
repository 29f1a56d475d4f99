"""An import compares a bill with the stored invoices."""

from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from sqlalchemy import insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from app import clock
from app.billing.enums import InvoiceState
from app.database.engine import Database
from app.dataio.focus import identifiers
from app.dataio.focus.charge_groups import InvoiceKey, make_account_key
from app.dataio.focus.import_report import InvoiceOutcome
from app.invoices.jobs.close_month import close_month
from app.invoices.models import Invoice, InvoiceItem
from app.payments.models import PaymentProfile
from app.settings import Settings
from tests.dataio.focus.bill_importer import (
    OCTOBER,
    BillImporter,
    create_legacy_invoice,
    load_account,
    load_items,
)
from tests.dataio.focus.files import row
from tests.support.factories import Factories, Row


async def test_an_open_invoice_with_items_becomes_an_imported_one_and_keeps_its_tax(
    importer: BillImporter, connection: AsyncConnection, make: Factories
) -> None:
    await importer(row())
    opened = await create_legacy_invoice(connection, make, InvoiceState.PENDING)
    await make.item(opened, "5", name="By hand")
    assert await importer.outcomes(row(**OCTOBER)) == [InvoiceOutcome.UPDATED]
    found = select(Invoice.source, Invoice.tax_percent, Invoice.total_price)
    assert (await connection.execute(found.where(Invoice.month == 10))).all() == [
        ("focus", Decimal(20), Decimal(6))
    ]


async def test_an_invoice_of_a_waldur_is_refused(
    importer: BillImporter, connection: AsyncConnection
) -> None:
    await importer(row())
    await connection.execute(update(Invoice).values(source="waldur"))
    assert "it was imported from waldur" in await importer.refusal(row())


async def test_only_a_pending_invoice_loses_its_rounding_item(
    importer: BillImporter, connection: AsyncConnection, make: Factories
) -> None:
    tiny = [row(BilledCost="0.0012", ResourceId=f"vm-{number}") for number in range(8)]
    await importer(*tiny)
    ((invoice_id, invoice_uuid),) = await connection.execute(select(Invoice.id, Invoice.uuid))
    await connection.execute(update(InvoiceItem).values(price=Decimal("0.01")))
    rounding = identifiers.rounding_uuid(InvoiceKey(2026, 9, make_account_key("acc-1", "Pilveke")))
    rounded = await make.item(
        Row(invoice_id, invoice_uuid), "-0.07", uuid=rounding, name="Rounding"
    )
    await connection.execute(update(Invoice).values(state="created"))
    assert await importer.outcomes(*tiny) == [InvoiceOutcome.UNCHANGED]
    assert rounded.id in [item.id for item in await load_items(connection)]
    message = await importer.refusal(*tiny, row(BilledCost="2"))
    assert (
        "the file, which bills 2.01, while the invoice bills 0.01: a difference of +2.00" in message
    )
    await connection.execute(update(Invoice).values(state="pending"))
    assert await importer.outcomes(*tiny) == [InvoiceOutcome.UPDATED]
    prices = [item.price for item in await load_items(connection)]
    assert sorted(prices) == [0] * 7 + [Decimal("0.01")]


async def test_an_issued_invoice_is_refused_if_the_file_differs(
    importer: BillImporter, connection: AsyncConnection
) -> None:
    rows = [row(BilledCost="0.001"), row(**OCTOBER)]
    report = await importer(*rows, issue=True)
    assert report.issued == 1
    dates = select(Invoice.state, Invoice.invoice_date).order_by(Invoice.number)
    issued = [tuple(each) for each in await connection.execute(dates)]
    # The billed amount rounds to zero.
    assert issued == [("paid", date(2026, 10, 15)), ("pending", None)]
    before = await importer.everything()
    assert await importer.outcomes(*rows, issue=True) == [InvoiceOutcome.UNCHANGED] * 2
    renamed = [each | {"SubAccountName": "New", "ResourceName": "new"} for each in rows[:1]]
    assert await importer.outcomes(*renamed) == [InvoiceOutcome.UNCHANGED]
    assert await importer.everything() == before
    changed = [row(BilledCost="0.002"), row(**OCTOBER, BilledCost="4")]
    message = await importer.refusal(*changed)
    assert "Invoice 100001 (2026-9" not in message
    assert "Invoice 100001 (2026-09, Õunaaed OÜ): it is paid and 1 line differs" in message
    assert await importer.outcomes(*changed, keep_good=True) == [
        InvoiceOutcome.REFUSED,
        InvoiceOutcome.UPDATED,
    ]
    prices = select(Invoice.total_price).order_by(Invoice.number)
    assert list((await connection.execute(prices)).scalars()) == [0, 4]
    dear = await importer(row(BilledCost="7.5"), keep_good=True)
    assert dear.billed == Decimal("7.5")
    assert dear.charged == dear.price == 0
    assert "which bills 7.50, while the invoice bills 0.00: a difference" in dear.invoices[0].note
    assert "2 lines differ" in await importer.refusal(row(ChargeDescription="other"))
    assert "a tax of 0.00 %" in await importer.refusal(rows[0], tax_percent=Decimal(20))


async def test_the_close_of_the_month_opens_no_invoice_for_a_late_bill(
    importer: BillImporter, connection: AsyncConnection, database: Database, settings: Settings
) -> None:
    await importer(row(BilledCost="10"), issue=True)
    await close_month(database, settings)
    clock.freeze(datetime(2026, 11, 1, 0, 5, tzinfo=UTC))
    await close_month(database, settings)
    clock.freeze(datetime(2026, 11, 4, tzinfo=UTC))
    late = [row(**OCTOBER, BilledCost="12.34")]
    assert await importer.outcomes(*late, issue=True) == [InvoiceOutcome.NEW]
    assert await importer.outcomes(*late, issue=True) == [InvoiceOutcome.UNCHANGED]
    await close_month(database, settings, include_imported=True)
    found = select(Invoice.month, Invoice.state, Invoice.total_price).order_by(Invoice.month)
    assert (await connection.execute(found)).all() == [
        (9, "created", 10),
        (10, "created", Decimal("12.34")),
    ]


async def test_an_empty_invoice_of_an_earlier_release_becomes_an_imported_one(
    importer: BillImporter, connection: AsyncConnection, make: Factories
) -> None:
    await importer(row())
    opened = await create_legacy_invoice(connection, make, InvoiceState.PENDING)
    assert await importer.outcomes(row(**OCTOBER)) == [InvoiceOutcome.UPDATED]
    found = select(Invoice.uuid, Invoice.source).where(Invoice.month == 10)
    assert (await connection.execute(found)).all() == [(opened.uuid, "focus")]
    assert await importer.outcomes(row(**OCTOBER)) == [InvoiceOutcome.UNCHANGED]


@pytest.mark.parametrize("state", [InvoiceState.CREATED, InvoiceState.PAID])
async def test_an_invoice_that_was_issued_empty_is_issued_again_with_its_late_bill(
    importer: BillImporter, connection: AsyncConnection, make: Factories, state: InvoiceState
) -> None:
    await importer(row())
    empty = await create_legacy_invoice(connection, make, state)
    clock.freeze(datetime(2026, 11, 4, tzinfo=UTC))
    report = await importer(row(**OCTOBER, BilledCost="12.34"), issue=True)
    assert report.invoices[0].outcome is InvoiceOutcome.UPDATED
    assert "issued without items" in report.invoices[0].note
    found = select(
        Invoice.uuid, Invoice.state, Invoice.source, Invoice.total_price, Invoice.invoice_date
    ).where(Invoice.month == 10)
    assert (await connection.execute(found)).all() == [
        (empty.uuid, "created", "focus", Decimal("12.34"), date(2026, 11, 4))
    ]


async def test_an_empty_invoice_with_a_payment_is_final(
    importer: BillImporter, connection: AsyncConnection, make: Factories
) -> None:
    await importer(row())
    empty = await create_legacy_invoice(connection, make, InvoiceState.CREATED)
    await make.payment(await make.profile(await load_account(connection)), invoice_id=empty.id)
    assert "was not created by an import of cost exports" in await importer.refusal(row(**OCTOBER))


async def test_an_invoice_that_was_issued_here_is_refused(
    importer: BillImporter, connection: AsyncConnection
) -> None:
    await importer(row(), issue=True)
    await connection.execute(update(Invoice).values(source=None))
    assert "was not created by an import of cost exports" in await importer.refusal(row())


async def test_an_invoice_of_a_fixed_price_contract_is_paid_when_it_is_issued(
    importer: BillImporter, connection: AsyncConnection
) -> None:
    await importer(row())
    customer = (await connection.execute(select(Invoice.customer_id))).scalar_one()
    await connection.execute(
        insert(PaymentProfile).values(customer_id=customer, payment_type="fixed_price")
    )
    assert (await importer(row(), issue=True)).issued == 1
    assert (await connection.execute(select(Invoice.state))).scalar_one() == "paid"
