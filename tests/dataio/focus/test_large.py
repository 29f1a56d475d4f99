"""A hundred thousand charges are an ordinary file."""

from decimal import Decimal
from pathlib import Path
from time import process_time

import pytest

from app.database.engine import Database
from app.dataio.focus.import_report import InvoiceOutcome
from app.dataio.focus.importer import import_focus_files
from app.settings import Settings
from tests.dataio.focus.files import many, write

ROWS = 100_000


@pytest.mark.slow
@pytest.mark.timeout(600)
async def test_a_hundred_thousand_charges_are_imported(
    database: Database, settings: Settings, tmp_path: Path
) -> None:
    path = write(tmp_path / "large.csv", many(ROWS))
    began = process_time()
    outcome = await import_focus_files(database, settings, [path])
    assert process_time() - began < 60
    assert outcome.bill.rows == ROWS
    whole = sum((Decimal(row["BilledCost"]) for row in many(ROWS)), Decimal(0))
    assert outcome.billed == whole
    assert outcome.charged == whole.quantize(Decimal("1e-10"))
    again = await import_focus_files(database, settings, [path])
    assert {each.outcome for each in again.invoices} == {InvoiceOutcome.UNCHANGED}
