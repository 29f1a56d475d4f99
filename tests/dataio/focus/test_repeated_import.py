"""A repeated import updates changed records."""

from decimal import Decimal
from pathlib import Path

import httpx
import pytest
from sqlalchemy import func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from app.billing.currencies import get_currency
from app.billing.enums import InvoiceState
from app.customers.models import Customer
from app.dataio.focus.import_report import InvoiceOutcome
from app.dataio.focus.importer import import_focus_files
from app.dataio.focus.options import FocusImportOptions
from app.invoices.models import Invoice, InvoiceItem
from tests.dataio.focus.bill_importer import OCTOBER, BillImporter, load_items
from tests.dataio.focus.files import row
from tests.support.factories import Factories, Row


async def test_a_second_import_changes_nothing(importer: BillImporter) -> None:
    rows = [row(BilledCost="0.001"), row(BillingAccountId="2"), row(**OCTOBER)]
    assert await importer.outcomes(*rows) == [InvoiceOutcome.NEW] * 3
    before = await importer.everything()
    assert await importer.outcomes(*reversed(rows)) == [InvoiceOutcome.UNCHANGED] * 3
    assert await importer.everything() == before


async def test_changes_of_customers_and_payment_urls_are_not_overwritten(
    importer: BillImporter, connection: AsyncConnection
) -> None:
    await importer(row())
    await connection.execute(update(Customer).values(email="a@example.com", name="Ours"))
    await connection.execute(update(Invoice).values(payment_url="https://pay.example"))
    await importer(row(BilledCost="5"))
    emails = await connection.execute(select(Customer.email, Customer.name).distinct())
    assert emails.all() == [("a@example.com", "Ours")]
    assert (await connection.execute(select(Invoice.payment_url))).scalar_one() != ""


async def test_an_import_of_a_growing_month_changes_and_adds_items(
    importer: BillImporter, connection: AsyncConnection
) -> None:
    same = row(ChargeDescription="same")
    early = row(ChargeDescription="growing")
    await importer(same, early)
    first = {item.name: item for item in await load_items(connection)}
    later = early | {"ChargePeriodEnd": "2026-09-12", "BilledCost": "3.5"}
    new = row(ChargeDescription="new")
    assert await importer.outcomes(same, early, later, new) == [InvoiceOutcome.UPDATED]
    then = {item.name: item for item in await load_items(connection)}
    assert set(then) == {"same", "growing", "new"}
    assert then["same"] == first["same"]
    assert (then["growing"].id, then["growing"].price) == (first["growing"].id, Decimal("4.50"))
    numbers = select(
        Invoice.number, Invoice.total_price, Invoice.revision - Invoice.imported_revision
    )
    assert tuple((await connection.execute(numbers)).one()) == (100001, Decimal("6.50"), 0)


async def test_items_of_an_earlier_import_are_removed_only_with_replace(
    importer: BillImporter, connection: AsyncConnection
) -> None:
    await importer(row(SubAccountId="a", BilledCost="80"))
    part = row(SubAccountId="b", BilledCost="20")
    message = await importer.refusal(part, issue=True)
    assert "Invoice 100001 (2026-09, Õunaaed OÜ): 1 item of 80.00 would be removed" in message
    assert "--replace" in message
    assert await importer.outcomes(part, row(**OCTOBER), keep_good=True, issue=True) == [
        InvoiceOutcome.REFUSED,
        InvoiceOutcome.NEW,
    ]
    states = select(Invoice.state, Invoice.total_price).order_by(Invoice.month)
    assert (await connection.execute(states)).all() == [
        ("pending", Decimal(80)),
        ("pending", Decimal(1)),
    ]
    assert await importer.outcomes(part, replace=True) == [InvoiceOutcome.UPDATED]
    assert [item.price for item in await load_items(connection) if item.start.month == 9] == [20]


@pytest.mark.parametrize(
    ("second", "message"),
    [
        ({"ChargePeriodStart": "2026-09-11", "ChargePeriodEnd": "2026-09-12"}, "12.00"),
        ({"BilledCost": "4"}, "4.00"),
    ],
    ids=["other days", "fewer charges"],
)
async def test_an_item_loses_charges_only_with_replace(
    importer: BillImporter, second: dict[str, str], message: str
) -> None:
    await importer(row(BilledCost="5"), row(BilledCost="5"))
    rest = row(BilledCost="12") | second
    refusal = await importer.refusal(rest)
    assert f"1 item of 10.00 would lose charges and become {message}" in refusal
    assert await importer.outcomes(rest, replace=True) == [InvoiceOutcome.UPDATED]


async def test_a_charge_can_become_cheaper(importer: BillImporter) -> None:
    await importer(row(BilledCost="5"))
    assert await importer.outcomes(row(BilledCost="4")) == [InvoiceOutcome.UPDATED]


async def test_items_of_other_sources_stay_and_are_reported(
    importer: BillImporter, connection: AsyncConnection, make: Factories
) -> None:
    await importer(row(BilledCost="10"))
    ((invoice_id, invoice_uuid),) = await connection.execute(select(Invoice.id, Invoice.uuid))
    own = await make.item(Row(invoice_id, invoice_uuid), "5", name="By hand")
    more = [row(BilledCost="10"), row(BilledCost="2.345", ResourceId="vm-2")]
    report = await importer(*more, issue=True)
    assert report.invoices[0].outcome is InvoiceOutcome.UPDATED
    assert "1 item of 5.00 came from no import" in report.invoices[0].note
    found = {item.id: item.price for item in await load_items(connection)}
    assert found.pop(own.id) == 5
    assert sum(found.values()) == report.price == Decimal("12.35")
    assert (await connection.execute(select(Invoice.total_price))).scalar_one() == Decimal("17.35")
    assert await importer.outcomes(*more) == [InvoiceOutcome.UNCHANGED]


async def test_items_do_not_move_from_an_issued_invoice(
    importer: BillImporter, connection: AsyncConnection, make: Factories
) -> None:
    await importer(row())
    other = await make.invoice(await make.customer(), state=InvoiceState.CREATED)
    await connection.execute(update(InvoiceItem).values(invoice_id=other.id))
    for replace in (False, True):
        message = await importer.refusal(row(), replace=replace)
        assert "1 item of 1.00 would move here from invoice 100002, which is created" in message


async def test_the_report_has_the_name_that_an_operator_gave(
    importer: BillImporter, connection: AsyncConnection
) -> None:
    await importer(row())
    await connection.execute(update(Customer).values(name="Completed Here Ltd"))
    report = await importer(row())
    assert report.invoices[0].customer == "Completed Here Ltd"


async def test_a_manual_change_of_an_item_is_overwritten_and_reported(
    importer: BillImporter, connection: AsyncConnection, make: Factories
) -> None:
    await importer(row())
    (item,) = await load_items(connection)
    await connection.execute(
        update(InvoiceItem).where(InvoiceItem.id == item.id).values(unit_price=99)
    )
    report = await importer(row())
    assert report.invoices[0].outcome is InvoiceOutcome.UPDATED
    assert "was changed here" in report.invoices[0].note
    assert "was changed here" in "\n".join(report.lines())
    assert await importer.outcomes(row()) == [InvoiceOutcome.UNCHANGED]


async def test_the_sample_file_is_imported_exactly(
    importer: BillImporter,
    shared: Path,
    make: Factories,
    connection: AsyncConnection,
    client: httpx.AsyncClient,
) -> None:
    settings = importer.settings.model_copy(update={"currency": get_currency("USD")})
    path = shared / "data" / "focus_sample.csv"
    report = await import_focus_files(
        importer.database, settings, [path], FocusImportOptions(issue=True)
    )
    assert report.billed == Decimal("20.52022672899")
    assert report.charged == Decimal("20.5202267290")
    prices = [each.amounts.price for each in report.invoices]
    assert prices == [Decimal(price) for price in ("1.98", "18.01", "0.30", "0.24")]
    stored = select(func.sum(InvoiceItem.unit_price), func.sum(InvoiceItem.price))
    assert (await connection.execute(stored)).one() == (Decimal("20.5202267290"), sum(prices))
    before = await importer.everything()
    again = await import_focus_files(
        importer.database, settings, [path], FocusImportOptions(issue=True)
    )
    assert {each.outcome for each in again.invoices} == {InvoiceOutcome.UNCHANGED}
    assert await importer.everything() == before

    headers = (await make.staff()).headers
    answer = await client.get("/api/invoices/", params={"year": 2024, "month": 9}, headers=headers)
    shown = {each["number"]: each for each in answer.json()}
    assert [shown[number]["price"] for number in (100001, 100002, 100003)] == [
        "1.9800000000",
        "18.0100000000",
        "0.3000000000",
    ]
    invoice = shown[100002]
    assert invoice["state"] == "created"
    assert invoice["customer_details"]["name"] == "SunBird"
    cents = sum(round(item["price"] * 100) for item in invoice["items"])
    assert cents == 1801
    given = [item for item in invoice["items"] if item["credit"]]
    assert [item["unit_price"] for item in given] == ["-2.6137000000"]
    assert invoice["compensations"] == -2.6137
