"""`--credit` bills the differences of restated bills of issued invoices."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from app import clock
from app.audit.actor import Actor
from app.audit.verify import VerificationResult, verify
from app.audit.writer import audited_transaction
from app.billing.currencies import get_currency
from app.billing.enums import InvoiceState
from app.billing.money import round_half_up
from app.credit_notes.actions.cancel import CancelInvoice, cancel
from app.credit_notes.actions.credit import CreditInvoice, CreditItem, credit
from app.credit_notes.errors import ItemExceeded
from app.customers.models import Customer
from app.database.engine import Database
from app.dataio.focus.import_report import FocusImportReport, InvoiceOutcome, InvoiceResult
from app.dataio.jsonl.exporter import export_lines
from app.dataio.jsonl.importer import import_file
from app.deliveries.schedule import schedule_deliveries
from app.invoices.actions.issue import IssueInvoice
from app.invoices.actions.issue import issue as issue_invoice
from app.invoices.models import Invoice, InvoiceItem
from tests.dataio.focus.bill_importer import OCTOBER, BillImporter, load_items
from tests.dataio.focus.files import row
from tests.support.factories import Factories

VM1, VM2 = row(BilledCost="10"), row(BilledCost="5", ResourceId="vm-2")
NAME = "Hours of a machine (2026-09, restated)"


async def issue(importer: BillImporter, *rows: dict[str, str], **options: Any) -> None:
    """Import a bill and issue its invoice."""
    assert (await importer(*rows, issue=True, **options)).issued == 1


async def restate(importer: BillImporter, *rows: dict[str, str], **options: Any) -> InvoiceResult:
    """Import a restated bill, and again, which changes nothing."""
    report = await importer(*rows, credit=True, **options)
    before = await importer.everything()
    again = await importer(*rows, credit=True, **options)
    assert {each.outcome for each in again.invoices} == {InvoiceOutcome.UNCHANGED}
    assert await importer.everything() == before
    return report.invoices[0]


async def load_notes(connection: AsyncConnection) -> Sequence[tuple[Any, ...]]:
    statement = "SELECT number, net, gross FROM credit_notes ORDER BY number"
    return [tuple(each) for each in await connection.execute(text(statement))]


async def load_sums(connection: AsyncConnection) -> dict[int, tuple[Any, ...]]:
    """Return the state, the sum and the tax of each invoice, by its month."""
    columns = Invoice.state, Invoice.total_price, Invoice.tax_percent
    rows = await connection.execute(select(Invoice.month, *columns).order_by(Invoice.id))
    return {month: tuple(values) for month, *values in rows}


async def sum_bill(connection: AsyncConnection) -> Decimal:
    """Return the invoices less the credit notes."""
    statement = """
        SELECT (SELECT sum(total_price) FROM invoices)
            - (SELECT coalesce(sum(net), 0) FROM credit_notes)
    """
    return Decimal(await connection.scalar(text(statement)))


async def issue_running(importer: BillImporter) -> None:
    """Issue the pending invoice of the running month, and begin the next month."""
    now = clock.now()
    clock.freeze(datetime(now.year, now.month + 1, 15, tzinfo=UTC))
    async with importer.database.transaction() as connection:
        ids = await connection.scalars(select(Invoice.id).where(Invoice.state == "pending"))
        pending = ids.all()
    for invoice_id in pending:
        async with importer.database.transaction() as connection:
            await issue_invoice(connection, IssueInvoice(invoice_id), importer.settings)


async def test_a_bill_that_is_less_is_credited(
    importer: BillImporter, connection: AsyncConnection
) -> None:
    await issue(importer, VM1, VM2, tax_percent=Decimal(20))
    restated = await restate(importer, VM1 | {"BilledCost": "7.50"})
    assert restated.outcome is InvoiceOutcome.RESTATED
    assert restated.note == "credit note CN-1 gives back 7.50 of invoice 100001, 9.00 with tax"
    assert await load_notes(connection) == [(1, Decimal("7.50"), Decimal(9))]
    assert await load_sums(connection) == {9: ("created", 15, 20)}
    reason = await connection.scalar(text("SELECT reason FROM credit_notes"))
    assert reason == "The bill of 2026-09 was restated (costs.csv)"
    result = VerificationResult()
    async for discrepancy in verify(importer.database, importer.settings, result):
        raise AssertionError(discrepancy)


async def test_a_bill_that_is_more_is_billed_on_the_invoice_of_the_running_month(
    importer: BillImporter, connection: AsyncConnection
) -> None:
    await issue(importer, VM1, tax_percent=Decimal(20))
    result = await restate(importer, VM1 | {"BilledCost": "10.50"}, VM2)
    assert result.note == "invoice 100002 bills 5.50 more"
    assert not await load_notes(connection)
    assert await load_sums(connection) == {
        9: ("created", 10, 20),
        10: ("pending", Decimal("5.5"), 20),
    }
    more, new = sorted(await load_items(connection, NAME), key=lambda item: item.price)
    assert (more.price, more.unit_price, more.quantity) == (Decimal("0.5"), Decimal("0.5"), 1)
    assert (new.price, new.start.month, new.end.month) == (5, 10, 10)
    (item,) = await load_items(connection, "Hours of a machine")
    issued = await connection.scalar(select(Invoice.uuid).where(Invoice.month == 9))
    restated = {name: more.details[name] for name in more.details if name.startswith("restated_")}
    assert restated == {
        "restated_item": str(item.uuid),
        "restated_invoice": str(issued),
        "restated_month": "2026-09",
    }
    assert (more.resource_id, more.offering_id) == (item.resource_id, item.offering_id)


async def test_a_pending_difference_follows_the_bill(
    importer: BillImporter, connection: AsyncConnection
) -> None:
    await issue(importer, VM1)
    for cost in ("12", "11", "13"):
        await restate(importer, VM1 | {"BilledCost": cost})
        assert await sum_bill(connection) == Decimal(cost)
    result = await restate(importer, VM1 | {"BilledCost": "8"})
    assert result.note == (
        "invoice 100002 bills 3.00 less;"
        " credit note CN-1 gives back 2.00 of invoice 100001, 2.00 with tax"
    )
    assert await load_sums(connection) == {9: ("created", 10, 0), 10: ("pending", 0, 0)}
    assert not await load_items(connection, NAME)


async def test_a_bill_that_goes_up_and_down_over_months_comes_out_right(
    importer: BillImporter, connection: AsyncConnection
) -> None:
    await issue(importer, VM1)
    costs = [("12.345", "0"), ("12.345", "4"), ("0.5", "0"), ("0", "0"), ("20", "-3"), ("10", "5")]
    for one, two in costs:
        await restate(importer, VM1 | {"BilledCost": one}, VM2 | {"BilledCost": two})
        assert await sum_bill(connection) == round_half_up(
            Decimal(one) + Decimal(two), get_currency("EUR")
        )
        if clock.now().month < 12 and one != "0.5":
            await issue_running(importer)
            await restate(importer, VM1 | {"BilledCost": one}, VM2 | {"BilledCost": two})


async def test_an_invoice_that_a_restatement_canceled_can_be_restated_again(
    importer: BillImporter, connection: AsyncConnection
) -> None:
    await issue(importer, VM1)
    await restate(importer, VM1 | {"BilledCost": "0"})
    assert await load_sums(connection) == {9: ("canceled", 10, 0)}
    await restate(importer, VM1 | {"BilledCost": "4"})
    assert await load_sums(connection) == {9: ("canceled", 10, 0), 10: ("pending", 4, 0)}


async def test_an_invoice_that_staff_canceled_is_refused(
    importer: BillImporter, connection: AsyncConnection
) -> None:
    await issue(importer, VM1)
    async with audited_transaction(
        importer.database, importer.settings.audit_key, Actor("cancel")
    ) as own:
        invoice_id = (await own.execute(select(Invoice.id))).scalar_one()
        await cancel(own, CancelInvoice(invoice_id, "By mistake"), importer.settings)
    message = await importer.refusal(VM1 | {"BilledCost": "12"}, credit=True)
    assert "it is canceled and 1 line differs" in message
    assert "--credit bills" not in message


async def test_a_paid_invoice_stays_paid(
    importer: BillImporter, connection: AsyncConnection
) -> None:
    await issue(importer, VM1)
    await connection.execute(text("UPDATE invoices SET state = 'paid'"))
    await restate(importer, VM1 | {"BilledCost": "4"})
    assert await load_sums(connection) == {9: ("paid", 10, 0)}
    assert await load_notes(connection) == [(1, 6, 6)]


@pytest.mark.parametrize("was_mailed", [False, True])
async def test_a_credit_note_is_mailed_if_its_invoice_was(
    importer: BillImporter, connection: AsyncConnection, was_mailed: bool
) -> None:
    importer.settings = importer.settings.model_copy(update={"notify_on_issue": True})
    await issue(importer, VM1)
    await connection.execute(update(Customer).values(email="owner@example.com"))
    if was_mailed:
        invoice_id, customer_id = (
            await connection.execute(select(Invoice.id, Invoice.customer_id))
        ).one()
        await schedule_deliveries(
            connection, importer.settings, customer_id=customer_id, invoice_id=invoice_id
        )
    await restate(importer, VM1 | {"BilledCost": "4"})
    mails = "SELECT count(*) FROM notification_deliveries WHERE credit_note_id IS NOT NULL"
    assert await connection.scalar(text(mails)) == was_mailed


async def test_the_part_that_staff_gave_back_is_reported_and_not_credited(
    importer: BillImporter, connection: AsyncConnection
) -> None:
    await issue(importer, VM1)
    await credit_by_staff(importer, "4")
    assert await importer.outcomes(VM1, credit=True) == [InvoiceOutcome.UNCHANGED]
    result = await restate(importer, VM1 | {"BilledCost": "3"})
    assert result.note == (
        "credit note CN-2 gives back 6.00 of invoice 100001, 6.00 with tax;"
        " 1.00 is not credited: earlier credit notes gave it back"
    )
    assert await load_sums(connection) == {9: ("canceled", 10, 0)}
    report = await importer(VM1 | {"BilledCost": "3"}, credit=True)
    assert "1.00 is not credited" in report.invoices[0].note


async def credit_by_staff(importer: BillImporter, price: str) -> None:
    async with audited_transaction(
        importer.database, importer.settings.audit_key, Actor("credit")
    ) as connection:
        row = (await connection.execute(select(InvoiceItem.invoice_id, InvoiceItem.uuid))).one()
        items = [CreditItem(row.uuid, price=Decimal(price))]
        await credit(
            connection, CreditInvoice(row.invoice_id, "Goodwill", items), importer.settings
        )


async def test_staff_and_an_import_that_credit_at_once_credit_no_more_than_the_item(
    importer: BillImporter, connection: AsyncConnection
) -> None:
    await issue(importer, VM1)
    outcomes = await asyncio.gather(
        importer(VM1 | {"BilledCost": "3"}, credit=True),
        credit_by_staff(importer, "7"),
        return_exceptions=True,
    )
    assert isinstance(outcomes[0], FocusImportReport)
    assert outcomes[1] is None or isinstance(outcomes[1], ItemExceeded)
    credited = sum(net for _, net, _ in await load_notes(connection))
    assert credited == (7 if outcomes[1] else 10)


async def test_a_new_refund_reduces_the_invoice_of_the_running_month(
    importer: BillImporter, connection: AsyncConnection
) -> None:
    await issue(importer, VM1)
    refund = row(BilledCost="-3", ChargeCategory="Credit", ChargeDescription="Refund")
    result = await restate(importer, VM1, refund)
    assert result.note == "invoice 100002 bills 3.00 less"
    (item,) = await load_items(connection, "Refund (2026-09, restated)")
    assert (item.price, item.credit) == (-3, True)
    assert await sum_bill(connection) == 7


async def test_the_invoice_of_the_running_month_keeps_its_tax_and_its_own_import(
    importer: BillImporter, connection: AsyncConnection
) -> None:
    await issue(importer, VM1, tax_percent=Decimal(20))
    october = row(**OCTOBER, BilledCost="2")
    await importer(october, tax_percent=Decimal(24))
    dearer = VM1 | {"BilledCost": "11"}
    await restate(importer, dearer)
    assert await load_sums(connection) == {9: ("created", 10, 20), 10: ("pending", 3, 24)}
    for _ in range(2):
        report = await importer(october, replace=True)
        assert report.invoices[0].outcome is InvoiceOutcome.UNCHANGED
        assert report.invoices[0].note == ""
    await restate(importer, dearer, october | {"BilledCost": "4"})
    assert await load_sums(connection) == {9: ("created", 10, 20), 10: ("pending", 5, 24)}


async def test_without_credit_the_message_names_it(
    importer: BillImporter, connection: AsyncConnection
) -> None:
    await issue(importer, VM1)
    dearer = VM1 | {"BilledCost": "11"}
    message = await importer.refusal(dearer)
    assert "a difference of +1.00, which --credit bills." in message
    await restate(importer, dearer)
    assert await importer.outcomes(dearer) == [InvoiceOutcome.UNCHANGED]
    message = await importer.refusal(VM1)
    assert "bills 10.00, while the invoice bills 11.00: a difference of -1.00" in message


async def test_corrections_of_the_file_are_items_of_their_own(
    importer: BillImporter, connection: AsyncConnection
) -> None:
    correction = row(BilledCost="-1", ChargeClass="Correction", ChargePeriodStart="2026-08-01")
    await issue(importer, VM1, correction)
    await restate(importer, VM1, correction | {"BilledCost": "-0.5"})
    (item,) = await load_items(connection, NAME)
    assert (item.price, item.details["charge_class"]) == (Decimal("0.5"), "Correction")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"state": InvoiceState.CANCELED}, "it is canceled"),
        ({"source": "waldur"}, "it is imported from waldur"),
    ],
)
async def test_a_running_invoice_that_cannot_take_the_difference_is_named(
    importer: BillImporter, connection: AsyncConnection, change: dict[str, Any], reason: str
) -> None:
    await issue(importer, VM1)
    await importer(row(**OCTOBER))
    await connection.execute(update(Invoice).where(Invoice.month == 10).values(change))
    message = await importer.refusal(VM1 | {"BilledCost": "11"}, credit=True)
    assert (
        "the difference cannot be billed on invoice 100002 of the running month: " + reason
        in message
    )


async def test_taxes_of_the_provider_are_not_taxed_on_the_running_invoice(
    importer: BillImporter,
) -> None:
    tax = row(BilledCost="2", ChargeCategory="Tax", ChargeDescription="VAT")
    await issue(importer, VM1, tax)
    await importer(row(**OCTOBER), tax_percent=Decimal(20))
    message = await importer.refusal(VM1, tax | {"BilledCost": "3"}, credit=True)
    assert "it is taxed with 20.00 %, but there are taxes of the provider" in message


async def test_an_item_that_is_on_another_invoice_is_not_billed_again(
    importer: BillImporter, connection: AsyncConnection, make: Factories
) -> None:
    await importer(VM1, VM2)
    other = await make.invoice(await make.customer())
    moved = update(InvoiceItem).where(InvoiceItem.price == 5).values(invoice_id=other.id)
    await connection.execute(moved)
    await connection.execute(update(Invoice).where(Invoice.month == 9).values(state="created"))
    for replace in (False, True):
        message = await importer.refusal(VM1, VM2, credit=True, replace=replace)
        assert "1 item of 5.00 would move here from invoice 100002" in message


async def test_a_restored_export_knows_what_was_billed(
    importer: BillImporter, second_database_url: str
) -> None:
    await issue(importer, VM1, VM2)
    bill = [VM1 | {"BilledCost": "8"}, VM2 | {"BilledCost": "6"}]
    await restate(importer, *bill)
    settings = importer.settings.model_copy(update={"database_url": second_database_url})
    file = importer.directory / "export.jsonl"
    lines = export_lines(importer.database, settings)
    file.write_bytes(b"".join([piece async for piece in lines]))
    other = Database(settings)
    try:
        await import_file(other, settings, str(file))
        restored = BillImporter(other, settings, importer.directory)
        assert await restored.outcomes(*bill, credit=True) == [InvoiceOutcome.UNCHANGED]
        result = await restate(restored, VM1, VM2)
        assert result.note == "invoice 100002 bills 1.00 more"
    finally:
        await other.close()


async def test_nothing_of_a_file_is_credited_if_another_invoice_is_refused(
    importer: BillImporter, connection: AsyncConnection
) -> None:
    other = row(BillingAccountId="acc-2", BilledCost="5")
    report = await importer(VM1, other, issue=True)
    assert report.issued == 2
    await connection.execute(text("UPDATE invoices SET source = NULL WHERE number = 100002"))
    files = [VM1 | {"BilledCost": "9"}, other | {"BilledCost": "4"}]
    assert "it was not created by an import" in await importer.refusal(*files, credit=True)
    outcomes = await importer.outcomes(*files, credit=True, keep_good=True)
    assert outcomes == [InvoiceOutcome.RESTATED, InvoiceOutcome.REFUSED]
    assert await load_notes(connection) == [(1, 1, 1)]
