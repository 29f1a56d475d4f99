"""How values are written."""

import re
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from app.api import serializers
from app.api.serializers import Links

HYPHENS = Links("https://b", "https://p")
HEX = Links("https://b", "https://p", hex_uuids=True)
ID = UUID("0c0a2b4e-5d6f-4a1b-8c9d-0e1f2a3b4c5d")


def written(kind: Any, value: object, links: Links = HYPHENS) -> Any:
    return TypeAdapter(kind).dump_python(value, mode="json", context=links)


@given(st.decimals(min_value=-(10**12), max_value=10**12, places=10))
def test_ten_decimals(value: Decimal) -> None:
    text = written(serializers.DecimalString10, value)
    assert re.fullmatch(r"-?\d+\.\d{10}", text)
    assert Decimal(text) == value


@pytest.mark.parametrize(
    ("value", "text"),
    [("0E-10", "0.0000000000"), ("1E-7", "0.0000001000"), ("1E+3", "1000.0000000000")],
)
def test_no_exponents(value: str, text: str) -> None:
    assert written(serializers.DecimalString10, Decimal(value)) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("0.005", "0.00"),
        ("0.015", "0.02"),
        ("-0.025", "-0.02"),
        ("7", "7.00"),
        ("1E-9", "0.00"),
        ("-0.0019", "0.00"),
    ],
)
def test_two_decimals_half_even(value: str, text: str) -> None:
    assert written(serializers.DecimalString2, Decimal(value)) == text


@pytest.mark.parametrize("value", ["-0", "-0E-10", "-1E-11"])
def test_zero_has_no_sign(value: str) -> None:
    assert written(serializers.DecimalString10, Decimal(value)) == "0.0000000000"
    assert written(serializers.DecimalString2, Decimal(value)) == "0.00"


def test_numbers() -> None:
    assert written(serializers.JsonNumber, Decimal("3035.84")) == 3035.84


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (datetime(2026, 11, 1, tzinfo=UTC), "2026-11-01T00:00:00Z"),
        (datetime(2026, 10, 31, 23, 59, 59, 999999, UTC), "2026-10-31T23:59:59.999999Z"),
    ],
)
def test_times(value: datetime, text: str) -> None:
    assert written(serializers.UtcTimestamp, value) == text


def test_uuids_and_links() -> None:
    assert written(serializers.WireUuid, ID) == str(ID)
    assert written(serializers.WireUuid, ID, HEX) == ID.hex
    assert HEX.record("invoices", ID) == f"https://b/api/invoices/{ID.hex}/"
    assert HYPHENS.record("customers", ID, platform=True) == f"https://p/api/customers/{ID}/"
