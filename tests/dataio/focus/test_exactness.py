"""The engine's bills are those of a plain reader, to the last digit, and so are its refusals."""

import csv
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.dataio.focus.bill_reader import read_bill
from app.dataio.focus.charge_groups import Bill
from app.dataio.focus.errors import FocusImportError
from tests.dataio.focus.files import BASIC, many, row, write
from tests.dataio.focus.plain_reader import read_plainly

COLUMNS = [*BASIC, "ChargeClass", "InvoiceId", "InvoiceIssuerName", "Tags"]
DIGITS = st.text("0123456789", min_size=1, max_size=12)
PLAIN_NUMBERS = st.builds(
    "{}{}.{}".format, st.sampled_from(["", "-", "+"]), DIGITS, st.text("0123456789", max_size=24)
)
EXPONENTS = st.builds(
    "{}{}{}{}".format,
    PLAIN_NUMBERS,
    st.sampled_from("eE"),
    st.sampled_from(["", "-", "+"]),
    st.integers(0, 45),
)
NUMBERS = (
    PLAIN_NUMBERS
    | EXPONENTS
    | st.floats(-1e6, 1e6).map(str)
    | st.sampled_from(["0", "-0", ".5", "7.", "1e-24", "1e-25", "1E-40", "1e-41", "9e11", "1e12"])
    | st.sampled_from(["999999999999.9", "0E-99", "000000000000001"])
)
LARGE_NUMBERS = NUMBERS | st.sampled_from(["1e29", "1e30", "12345678901234567890.5", "", "NULL"])
TIMES = st.sampled_from(
    [
        "2026-09-10",
        "2026-09-10 10:00:00",
        "2026-09-10T10:00:00Z",
        "2026-09-10T10:00Z",
        "2026-09-10 10:00:00 UTC",
        "2026-09-10T10:00:00.123456Z",
        "2026-09-10T13:30:00+03:00",
        "2026-09-09T23:00:00-08:00",
        "20260910T100000Z",
        "2026-W37-4",
        "2026-09-10T10",
        "0001-01-01T00:00:00Z",
    ]
)
TEXTS = st.sampled_from(
    ["", "NULL", "a", "a ", " a", "a,b", 'say "a"', "two\nlines", "õ", "\u00a0"]
)
ROWS = st.fixed_dictionaries(
    {
        "BilledCost": NUMBERS,
        "PricingQuantity": LARGE_NUMBERS,
        "ConsumedQuantity": LARGE_NUMBERS,
        "ChargePeriodStart": TIMES,
        "ChargePeriodEnd": TIMES,
    },
    optional={
        "ChargeDescription": TEXTS,
        "ConsumedUnit": TEXTS,
        "ResourceId": TEXTS,
        "ResourceName": TEXTS,
        "InvoiceId": TEXTS,
        "InvoiceIssuerName": TEXTS,
        "Tags": TEXTS,
        "BillingCurrency": st.sampled_from(["EUR", "usd", " USD"]),
        "ChargeCategory": st.sampled_from(["Usage", "tax", "Credit ", "Purchase"]),
        "ChargeClass": st.sampled_from(["", "NULL", "Correction", " "]),
    },
)
ODD_ROWS = st.fixed_dictionaries(
    {},
    optional={
        "BilledCost": st.sampled_from(["", "x", "1,5", "NaN", "1_000", " 1 ", "1e-41", "1\0"]),
        "ConsumedQuantity": st.sampled_from(["x", "1e31", " "]),
        "ChargePeriodStart": st.sampled_from(["", "yesterday", "2026-02-30", "infinity"]),
        "ChargePeriodEnd": st.sampled_from(["2026-01-01", "2026-09-10T24:00:00", "10000-01-01"]),
        "BillingPeriodEnd": st.sampled_from(["2026-09-04", "2026-09-01", "soon"]),
        "BillingAccountId": st.sampled_from(["", "NULL", "a\0"]),
        "ChargeCategory": st.sampled_from(["Taxes", ""]),
        "ProviderName": st.just(""),
    },
)


def to_row(cells: dict[str, str]) -> dict[str, str]:
    return row(**cells)


def comparable(bill: Bill) -> Any:
    return bill.groups, bill.names, bill.rows, bill.currencies, bill.tax_rows, bill.tax


def read(path: Path) -> Bill | list[str]:
    try:
        return read_bill([path])
    except FocusImportError as error:
        return list(error.lines)


def assert_equal(path: Path) -> None:
    fast, plain = read(path), read_plainly([path])
    if isinstance(plain, Bill) and isinstance(fast, Bill):
        assert comparable(fast) == comparable(plain)
    else:
        assert fast == plain


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    with TemporaryDirectory() as place:
        yield Path(place)


@settings(max_examples=60, deadline=None)
@given(rows=st.lists(ROWS.map(to_row), min_size=1, max_size=12))
def test_bills_are_those_of_the_plain_reader(folder: Path, rows: list[dict[str, str]]) -> None:
    assert_equal(write(folder / "costs.csv", rows, COLUMNS))


@settings(max_examples=40, deadline=None)
@given(rows=st.lists((ROWS | ODD_ROWS).map(to_row), min_size=1, max_size=6))
def test_refusals_are_those_of_the_plain_reader(folder: Path, rows: list[dict[str, str]]) -> None:
    assert_equal(write(folder / "costs.csv", rows, COLUMNS))


@settings(max_examples=40, deadline=None)
@given(
    rows=st.lists(ROWS.map(to_row), min_size=1, max_size=4),
    line_end=st.sampled_from(["\n", "\r\n", "\r"]),
    quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
    empty_cells=st.integers(0, 2),
)
def test_the_notation_of_the_file_changes_nothing(
    folder: Path, rows: list[dict[str, str]], line_end: str, quoting: Any, empty_cells: int
) -> None:
    path = folder / "costs.csv"
    with path.open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.writer(file, lineterminator=line_end, quoting=quoting)
        writer.writerow([*COLUMNS, *[""] * min(empty_cells, 1)])
        for each in rows:
            cells = [each.get(title, "NULL") for title in COLUMNS]
            writer.writerow([*cells, *[""] * empty_cells])
            writer.writerow([""] * len(COLUMNS))
        file.write(line_end * empty_cells)
    assert_equal(path)


def test_a_file_of_many_groups_is_read_as_by_the_plain_reader(folder: Path) -> None:
    assert_equal(write(folder / "costs.csv", many(5000)))


def test_sums_have_room_for_the_largest_amounts(folder: Path) -> None:
    largest = row(
        BilledCost="999999999999." + "9" * 40,
        PricingQuantity="9" * 30 + "." + "9" * 40,
        ConsumedQuantity="-" + "9" * 30 + "." + "9" * 40,
    )
    assert_equal(write(folder / "costs.csv", [largest] * 500))
