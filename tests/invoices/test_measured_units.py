"""The measured units that items show."""

from decimal import Decimal

import pytest

from app.invoices.rendering.items import measured_unit


@pytest.mark.parametrize(
    ("unit", "quantity", "shown"),
    [
        ("hour", "1", "hour"),
        ("hour", "3", "hours"),
        ("day", "2.0000000001", "days"),
        ("day", "0.5", "day"),
        ("half_month", "3", "percents from half a month"),
        ("month", "1", "percents from a month"),
        ("quarter", "1", "percents from a quarter"),
        ("quantity", "3", ""),
    ],
)
def test_the_measured_unit_is_derived_from_the_billing_unit(
    unit: str, quantity: str, shown: str
) -> None:
    assert measured_unit(unit, Decimal(quantity)) == shown
