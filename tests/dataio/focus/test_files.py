"""Several files are one bill."""

from decimal import Decimal
from pathlib import Path

import pytest

from app.dataio.focus.errors import FocusImportError
from app.dataio.focus.importer import import_focus_files
from app.dataio.focus.options import FocusImportOptions
from app.progress import Progress
from tests.dataio.focus.bill_importer import (
    OCTOBER,
    BillImporter,
)
from tests.dataio.focus.files import row, write


async def test_several_files_are_one_bill(importer: BillImporter, tmp_path: Path) -> None:
    paths = [
        write(tmp_path / "part-1.csv", [row(BilledCost="0.004")]),
        write(
            tmp_path / "part-2.csv",
            [row(BilledCost="0.004", ResourceId="vm-2"), row(**OCTOBER)],
        ),
    ]
    seen: list[float] = []

    class Noted(Progress):
        def reach(self, done: float) -> None:
            seen.append(done)

    report = await import_focus_files(
        importer.database, importer.settings, paths, FocusImportOptions(), Noted()
    )
    assert [each.amounts.billed for each in report.invoices] == [Decimal("0.008"), 1]
    assert seen == sorted(seen)
    assert seen[-1] == 1
    write(paths[1], [row(BilledCost="x")])
    with pytest.raises(FocusImportError, match=r"part-2\.csv: line 2: BilledCost"):
        await import_focus_files(importer.database, importer.settings, paths)


async def test_a_file_without_charges_is_reported(importer: BillImporter) -> None:
    report = await importer()
    assert report.invoices == []
    assert "The file has no charges." in list(report.lines())


async def test_files_with_equal_rows_are_refused(importer: BillImporter, tmp_path: Path) -> None:
    first = write(tmp_path / "first.csv", [row(BilledCost="3"), row(BilledCost="4")])
    grown = write(tmp_path / "grown.csv", [row(BilledCost=cost) for cost in ("1", "3", "4")])
    before = await importer.everything()
    with pytest.raises(FocusImportError) as caught:
        await import_focus_files(importer.database, importer.settings, [first, grown])
    assert await importer.everything() == before
    message = str(caught.value)
    assert f"{first} and {grown} have the same charges: 2 of the 3 rows" in message
    assert "--allow-equal-rows" in message
    report = await import_focus_files(
        importer.database,
        importer.settings,
        [first, grown],
        FocusImportOptions(allow_equal_rows=True),
    )
    assert report.billed == 15
