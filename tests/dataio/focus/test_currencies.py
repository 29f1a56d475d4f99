"""The currency of a bill must fit the deployment."""

from sqlalchemy.ext.asyncio import AsyncConnection

from tests.dataio.focus.bill_importer import BillImporter, load_items
from tests.dataio.focus.files import row


async def test_only_charges_in_the_chosen_or_the_deployments_currency_are_imported(
    importer: BillImporter, connection: AsyncConnection
) -> None:
    dollars = row(BillingCurrency="USD", BilledCost="7")
    message = await importer.refusal(row(), dollars, dollars)
    assert "EUR (1 charge), USD (2 charges)" in message
    assert "--currency" in message
    assert "are in EUR" in await importer.refusal(dollars)
    assert "no charges in GBP" in await importer.refusal(dollars, currency="GBP")
    report = await importer(row(), dollars, currency="USD")
    assert report.bill.currencies["EUR"] == 1
    assert "Not imported: 1 charge in EUR." in list(report.lines())
    assert "this service shows them as EUR" in report.warnings[0]
    assert [item.unit_price for item in await load_items(connection)] == [7]


async def test_a_bill_does_not_replace_one_in_another_currency(importer: BillImporter) -> None:
    rows = [row(), row(BillingCurrency="USD")]
    await importer(*rows, currency="USD")
    assert "its charges are in USD" in await importer.refusal(*rows, currency="EUR")
    assert "its charges are in USD" in await importer.refusal(rows[0])
