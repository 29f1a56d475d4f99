"""The generated bills are read as they are meant: rows, items and sums, in every format."""

from decimal import Decimal
from pathlib import Path

import pytest

from app.dataio.focus.bill_reader import read_bill
from benchmarks.figures import figures
from benchmarks.focus import write_bill
from benchmarks.results import FocusRound, Phase, Result, Subject

MIB = 1024 * 1024


@pytest.mark.parametrize("ending", ["csv", "csv.gz", "parquet"])
def test_a_generated_bill_has_its_rows_and_items(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"costs.{ending}"
    write_bill(path, rows=5000, items=1000)
    bill = read_bill([path])
    assert (bill.rows, len(bill.groups)) == (5000, 1000)
    assert len({key.account for key in bill.groups}) == 20
    cents = sum(row * 48271 % 1000000007 for row in range(5000))
    billed = sum(group.billed_cost for group in bill.groups.values())
    assert billed == Decimal(cents).scaleb(-11)


def test_the_other_builds_rate_of_csv_stands_for_its_other_formats() -> None:
    def import_(subject: Subject, case: str, seconds: float) -> FocusRound:
        return FocusRound(subject, case, 0, 1000, seconds, 100 * MIB)

    result = Result({}, {"phases": ["focus"], "beside": "834806b", "quick": False}, [10])
    result.focus += [
        import_(Subject.SERVICE, "csv", 2),
        import_(Subject.SERVICE, "csv-again", 1),
        import_(Subject.SERVICE, "parquet", 1),
        import_(Subject.BASELINE, "csv", 20),
    ]
    found = {figure.name: figure.value for figure in figures(result)}
    assert found["import of a bill, CSV, 10,000 items, against 834806b"] == 10
    assert found["import of a bill, Parquet, 10,000 items, against 834806b"] == 20
    assert found["a second import of the same bill, against the first"] == 0.5
    assert found["memory of the import of a bill, CSV, 10,000 items"] == 100
    assert {figure.phase for figure in figures(result)} == {Phase.FOCUS}
