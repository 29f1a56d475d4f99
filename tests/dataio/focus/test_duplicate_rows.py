"""Which rows of several files are the same charges."""

import gzip
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given
from hypothesis import strategies as st

from app.dataio.focus import duplicate_rows
from app.dataio.focus.bill_reader import read_file
from app.dataio.focus.engine import open_engine
from tests.dataio.focus.files import BASIC, row, write


def compared(*paths: Path) -> list[str]:
    with open_engine() as engine:
        sources = [read_file(engine, path, str(i))[0] for i, path in enumerate(paths)]
        lines = duplicate_rows.describe(engine, sources)
    return [line.replace(f"{paths[0].parent}/", "") for line in lines]


def test_a_copy_in_another_notation_is_found(tmp_path: Path) -> None:
    rows = [row(ResourceName="NULL", Tags="a\nb"), row(BilledCost="2", Tags="")]
    columns = [*BASIC, "Tags"]
    first = write(tmp_path / "first.csv", rows, columns)
    text = first.read_text(encoding="utf-8")
    copies = [tmp_path / f"{n}.csv" for n in range(4)]
    copies[0].write_text(text.replace("\n", "\r\n"), encoding="utf-8-sig", newline="")
    copies[1].write_bytes(gzip.compress(text.encode()))
    copies[2].write_text(
        text.replace("NULL", "").replace("BilledCost", "billed_cost"), encoding="utf-8"
    )
    write(copies[3], rows, [*reversed(columns)])
    for copy in copies:
        (messages,) = compared(first, copy)
        assert messages.startswith(
            f"first.csv and {copy.name} have the same charges: 2 of the 2 rows"
        )


def test_a_copy_with_another_name_of_a_column_is_found(tmp_path: Path) -> None:
    first = write(tmp_path / "first.csv", [row()])
    renamed = {"Provider" if name == "ProviderName" else name: row()[name] for name in BASIC}
    assert compared(first, write(tmp_path / "other.csv", [renamed], list(renamed)))


def test_columns_that_not_all_files_have_are_not_compared(tmp_path: Path) -> None:
    first = write(tmp_path / "first.csv", [row()])
    more = write(tmp_path / "more.csv", [row(x_Own="1")], [*BASIC, "x_Own"])
    assert compared(first, more)


def test_rows_that_differ_in_one_cell_are_different(tmp_path: Path) -> None:
    columns = [*BASIC, "Tags"]
    first = write(tmp_path / "first.csv", [row(Tags="a")], columns)
    assert not compared(first, write(tmp_path / "other.csv", [row(Tags="b")], columns))


def test_each_pair_of_files_is_reported_with_an_example(tmp_path: Path) -> None:
    a = write(tmp_path / "a", [row(ChargeDescription="two\nlines"), row(BilledCost="2")])
    b = write(tmp_path / "b", [row(BilledCost="9"), row(BilledCost="2"), row(BilledCost="2")])
    c = write(tmp_path / "c", [row(BilledCost="9"), row(BilledCost="8")])
    assert compared(a, b, c) == [
        "a and b have the same charges: 2 of the 3 rows of the second file are in the first, equal "
        "in every cell (line 4 of the first, line 3 of the second).",
        "b and c have the same charges: 1 of the 2 rows of the second file are in the first, equal "
        "in every cell (line 2 of the first, line 2 of the second).",
    ]


def test_only_the_first_pairs_of_files_are_listed(tmp_path: Path) -> None:
    messages = compared(*(write(tmp_path / f"{n}", [row()]) for n in range(30)))
    assert len(messages) == 21
    assert messages[-1] == "and 9 more pairs of files"


COSTS = st.lists(st.integers(0, 5), max_size=8)


@given(COSTS, COSTS)
def test_equal_rows_are_counted_between_files_and_never_within_one(
    one: list[int], other: list[int]
) -> None:
    with TemporaryDirectory() as folder:
        paths = [
            write(Path(folder) / name, [row(BilledCost=str(cost)) for cost in costs])
            for name, costs in (("one", one), ("other", other))
        ]
        messages = compared(*paths)
    expected = sum(count for cost, count in Counter(other).items() if cost in one)
    assert bool(messages) == bool(expected)
    if messages:
        assert f": {expected} of the {len(other)} rows" in messages[0]
