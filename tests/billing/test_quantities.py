"""The display of quantities."""

from decimal import Decimal

import pytest

from app.billing.quantities import displayed_measured_unit, whole_factor


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
    assert displayed_measured_unit("", unit, Decimal(quantity)) == shown
    assert displayed_measured_unit("cores", unit, Decimal(quantity)) == "cores"


def test_only_a_whole_quantity_is_a_factor() -> None:
    assert whole_factor(Decimal("3.0000000000")) == 3
    assert whole_factor(Decimal("-2")) == -2
    assert whole_factor(Decimal("0.97")) is None
