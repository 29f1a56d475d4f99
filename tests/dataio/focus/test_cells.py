"""The values of cells."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.dataio.focus import cells


@pytest.mark.parametrize(
    ("cell", "value"),
    [
        ("0.00000080000", "0.0000008"),
        ("1E-7", "0.0000001"),
        ("-2.5e+3", "-2500"),
        (" 7. ", "7"),
        (".5", "0.5"),
        ("+1", "1"),
        ("0E-19", "0"),
        ("999999999999.9", "999999999999.9"),
    ],
)
def test_amounts_are_parsed(cell: str, value: str) -> None:
    assert cells.parse_money(cell) == Decimal(value)


@pytest.mark.parametrize(
    ("cell", "why"),
    [
        ("", "is empty"),
        ("NULL", "is empty"),
        ("1,5", r'is not a number: "1,5" \(FOCUS numbers have a decimal point'),
        ("1.234,56", "no thousands separators"),
        ("1,234.56", "no thousands separators"),
        ("12 EUR", 'is not a number: "12 EUR"$'),
        ("1_000", "is not a number"),
        ("NaN", "is not a number"),
        ("Infinity", "is not a number"),
        ("١", "is not a number"),  # noqa: RUF001 - a digit, but not one of a cost export
        ("1e12", "is too large"),
        ("1e9999", "is too large"),
        ("1e-41", "has more than 40 decimals"),
        ("x" * 5000, r'"x{60}…" \(5,000 characters\)'),
        ("a\x1b[31m\u202eb\n", r'"a\\x1b\[31m\\u202eb"'),
        ("1\0", "has a NUL character"),
    ],
)
def test_an_invalid_amount_is_reported(cell: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        cells.parse_money(cell)


def test_quantities_may_be_missing_and_are_larger() -> None:
    assert cells.parse_quantity("NULL") is None
    assert cells.parse_quantity("1e20") == Decimal(10) ** 20


@pytest.mark.parametrize(
    "cell",
    [
        "2024-09-01 10:00:00",
        "2024-09-01T10:00:00Z",
        "2024-09-01T10:00Z",
        "2024-09-01 10:00:00 UTC",
        "2024-09-01 10:00:00.000000 UTC",
        "2024-09-01T13:00:00+03:00",
    ],
)
def test_times_are_parsed(cell: str) -> None:
    assert cells.parse_timestamp(cell) == datetime(2024, 9, 1, 10, tzinfo=UTC)


@pytest.mark.parametrize("cell", ["", "NULL", "yesterday", "2024-13-01"])
def test_an_invalid_time_is_reported(cell: str) -> None:
    with pytest.raises(
        ValueError, match=r'is empty|is not a date and time: "(yesterday|2024-13-01)"'
    ):
        cells.parse_timestamp(cell)


@pytest.mark.parametrize("cell", ["0001-01-01T00:00+09:00", "9999-12-31T23:00-02:00"])
def test_a_time_zone_does_not_lead_out_of_the_calendar(cell: str) -> None:
    with pytest.raises(ValueError, match="is not a date and time"):
        cells.parse_timestamp(cell)


@given(st.text())
def test_a_quoted_value_is_short_and_shows_every_character(value: str) -> None:
    shown = cells.quote(value)
    assert shown.isprintable()
    assert len(shown) <= 10 * 60 + 40


def test_only_null_and_empty_cells_have_no_text() -> None:
    assert cells.parse_text("NULL") == cells.parse_text("  ") == ""
    assert cells.parse_text(" null ") == "null"
