"""Proration of billing units."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.billing.enums import BillingUnit
from app.billing.periods import Period
from app.billing.proration import LimitPeriod, charged_limit, charged_quantity, quarter_bounds

MICROSECOND = timedelta(microseconds=1)


def at(day: str) -> datetime:
    return datetime.fromisoformat(day).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("unit", "start", "until", "charged"),
    [
        ("month", "2026-02-01", "2026-03-01", "1"),
        ("month", "2026-10-31", "2026-11-01", "0.03"),
        ("month", "2026-02-15", "2026-03-01", "0.50"),
        ("quarter", "2026-01-01", "2026-04-01", "1"),
        ("quarter", "2026-02-15", "2026-04-01", "0.50"),
        ("half_month", "2026-02-01", "2026-03-01", "2"),
        ("half_month", "2026-02-01", "2026-02-16", "1"),
        ("half_month", "2026-02-16", "2026-03-01", "1"),
        ("half_month", "2026-10-13", "2026-10-18", "0.33"),
        ("day", "2026-10-01T23:59", "2026-10-03T00:01", "3"),
        ("hour", "2026-10-01T10:00", "2026-10-01T12:00", "2"),
        ("hour", "2026-10-01T10:00", "2026-10-01T12:01", "3"),
        ("quantity", "2026-10-01", "2026-11-01", "1"),
    ],
)
def test_the_charged_quantity(unit: str, start: str, until: str, charged: str) -> None:
    quantity = charged_quantity(BillingUnit(unit), at(start), at(until) - MICROSECOND)
    assert quantity == Decimal(charged)


@given(
    st.sampled_from([BillingUnit.MONTH, BillingUnit.HALF_MONTH]),
    st.integers(1, 12),
    st.integers(1, 28),
)
def test_two_parts_add_up_to_the_whole_except_for_rounding(
    unit: BillingUnit, month: int, cut: int
) -> None:
    period = Period(2026, month)
    middle = period.start + timedelta(days=cut)
    if middle > period.end:
        return
    parts = charged_quantity(unit, period.start, middle - MICROSECOND)
    parts += charged_quantity(unit, middle, period.end)
    assert abs(parts - charged_quantity(unit, period.start, period.end)) <= Decimal("0.01")


@pytest.mark.parametrize(
    ("unit", "start", "until"),
    [
        ("day", "2026-10-02", "2026-10-01"),
        ("month", "2026-10-02", "2026-11-05"),
        ("quarter", "2026-09-02", "2026-10-05"),
    ],
)
def test_an_invalid_time_is_refused(unit: str, start: str, until: str) -> None:
    with pytest.raises(ValueError, match="The time charged"):
        charged_quantity(BillingUnit(unit), at(start), at(until))


def test_limits_that_changed_add_up() -> None:
    first = LimitPeriod(at("2026-10-01"), at("2026-10-11") - MICROSECOND, 4)
    then = LimitPeriod(at("2026-10-11"), at("2026-11-01") - MICROSECOND, 8)
    assert charged_limit(BillingUnit.DAY, [first, then]) == 4 * 10 + 8 * 21
    assert charged_limit(BillingUnit.MONTH, [first, then]) == Decimal("6.72")
    assert first.to_details(BillingUnit.MONTH) == {
        "start": "2026-10-01T00:00:00+00:00",
        "end": "2026-10-10T23:59:59.999999+00:00",
        "quantity": 4,
        "billing_periods": 10,
        "total": "40",
    }
    assert first.to_details(BillingUnit.HOUR)["billing_periods"] == 240


def test_the_quarters_of_a_year() -> None:
    start, end = quarter_bounds(at("2026-05-20").date())
    assert (start.isoformat(), end.isoformat()) == ("2026-04-01", "2026-06-30")
