"""Files that were imported are recognized, and not read again while their invoices are the same."""

import hashlib
import os
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from app.dataio.focus import importer as focus_importer
from app.dataio.focus.bill_reader import read_bill
from app.dataio.focus.import_report import FocusImportReport, InvoiceOutcome
from app.dataio.focus.imported_bills import FORM
from app.dataio.focus.mapping import BillMapper
from tests.dataio.focus.bill_importer import OCTOBER, BillImporter
from tests.dataio.focus.files import row, write
from tests.support.factories import Factories, Row

BILL = [
    row(BilledCost="0.00123"),
    row(BilledCost="2.5", BillingAccountId="2"),
    row(BilledCost="1.25", ChargeCategory="Tax", **OCTOBER),
]


@pytest.fixture
def readings(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Return a list that grows with each reading of files."""
    found: list[Any] = []

    def read(*arguments: Any, **options: Any) -> Any:
        found.append(arguments)
        return read_bill(*arguments, **options)

    monkeypatch.setattr(focus_importer, "read_bill", read)
    return found


def shown(report: FocusImportReport) -> list[str]:
    return [line.replace(" unchanged", "").replace(" new", "") for line in report.lines()]


async def test_the_same_file_is_not_read_again_and_has_the_same_report(
    importer: BillImporter, readings: list[Any]
) -> None:
    first = await importer(*BILL)
    before = await importer.everything()
    again = await importer(*BILL)
    assert len(readings) == 1
    assert await importer.everything() == before
    assert {each.outcome for each in again.invoices} == {InvoiceOutcome.UNCHANGED}
    assert shown(again) == shown(first)
    assert (again.billed, again.charged, again.price) == (first.billed, first.charged, first.price)


@pytest.mark.parametrize(
    "options",
    [{"tax_percent": Decimal(0)}, {"currency": "EUR"}, {"drop_tax_rows": True, "replace": True}],
)
async def test_the_same_file_is_read_with_other_options(
    importer: BillImporter, readings: list[Any], options: dict[str, Any]
) -> None:
    await importer(*BILL)
    await importer(*BILL, **options)
    assert len(readings) == 2


async def test_a_changed_file_of_the_same_size_is_read(
    importer: BillImporter, readings: list[Any]
) -> None:
    await importer(*BILL)
    changed = [BILL[0] | {"BilledCost": "0.00124"}, *BILL[1:]]
    outcomes = await importer.outcomes(*changed)
    assert sorted(outcomes) == ["unchanged", "unchanged", "updated"]
    assert await importer.outcomes(*changed) == [InvoiceOutcome.UNCHANGED] * 3
    assert await importer.outcomes(*BILL, replace=True) == outcomes
    assert len(readings) == 3


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE invoice_items SET name = 'Ours' WHERE id = (SELECT min(id) FROM invoice_items)",
        "DELETE FROM invoices WHERE month = 10",
        "UPDATE invoices SET state = 'pending_finalization' WHERE month = 10",
    ],
)
async def test_a_file_is_read_again_after_its_invoices_have_changed(
    importer: BillImporter, connection: AsyncConnection, readings: list[Any], change: str
) -> None:
    await importer(*BILL)
    await connection.execute(text(change))
    await importer(*BILL)
    assert len(readings) == 2


async def test_a_bill_with_items_of_others_is_read_for_its_notes(
    importer: BillImporter, connection: AsyncConnection, make: Factories, readings: list[Any]
) -> None:
    await importer(*BILL)
    ((invoice_id, uuid),) = await connection.execute(
        text("SELECT id, uuid FROM invoices WHERE month = 10")
    )
    await make.item(Row(invoice_id, uuid), "5", name="By hand")
    for _ in range(2):
        report = await importer(*BILL)
        assert "1 item of 5.00 came from no import" in "\n".join(report.lines())
    assert len(readings) == 3


async def test_a_file_that_changes_while_it_is_imported_is_not_recognized(
    importer: BillImporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = importer.directory / "costs.csv"

    def read_and_touch(*arguments: Any, **options: Any) -> Any:
        bill = read_bill(*arguments, **options)
        os.utime(path, ns=(1, 1))
        return bill

    monkeypatch.setattr(focus_importer, "read_bill", read_and_touch)
    await importer(*BILL)
    assert (await importer.everything())["imported_bills"] == []


async def test_of_the_bills_of_an_invoice_the_newest_is_recognized(
    importer: BillImporter, readings: list[Any]
) -> None:
    await importer(BILL[0])
    await importer(*BILL)
    assert len((await importer.everything())["imported_bills"]) == 1
    assert await importer.outcomes(*BILL) == [InvoiceOutcome.UNCHANGED] * 3
    assert await importer.outcomes(BILL[0]) == [InvoiceOutcome.UNCHANGED]
    assert len(readings) == 3


def test_the_form_of_the_items_is_that_of_recognized_bills(tmp_path: Path) -> None:
    """If this digest changes, so must `FORM`: stored bills have items of another form."""
    mapper = BillMapper(read_bill([write(tmp_path / "f.csv", BILL)]), "EUR", Decimal(0))
    items = [
        str(item.values) for draft in mapper.drafts for item in mapper.map_items(draft, draft.uuid)
    ]
    digest = hashlib.sha256("".join(items).encode()).hexdigest()[:8]
    assert (FORM, digest) == (1, "3b31a382")
