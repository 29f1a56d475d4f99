"""Which month a billing period is."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.billing.periods import Period
from app.dataio.focus.billing_month import find_billing_month, last_moment_of_period

MONTHS = st.builds(Period, st.integers(2, 9998), st.integers(1, 12))


def bounds(month: Period) -> tuple[datetime, datetime]:
    return month.start, month.shifted(1).start


@given(MONTHS, st.integers(-14 * 60, 14 * 60), st.integers(-60, 60))
def test_a_month_of_any_time_zone_is_that_month(month: Period, offset: int, summer: int) -> None:
    start, end = bounds(month)
    start -= timedelta(minutes=offset)
    end -= timedelta(minutes=offset + summer)
    assert find_billing_month(start, end) == month
    assert last_moment_of_period(start, end) == end - timedelta(microseconds=1)


@given(MONTHS)
def test_a_period_may_end_as_its_last_day_begins(month: Period) -> None:
    start, end = bounds(month)
    assert find_billing_month(start, end - timedelta(days=1)) == month
    assert last_moment_of_period(start, end - timedelta(days=1)) == month.end


@given(MONTHS, st.integers(-40, 40), st.integers(-40, 40))
def test_bounds_and_length_differ_by_two_days_at_most(
    month: Period, later: int, longer: int
) -> None:
    start, end = bounds(month)
    start += timedelta(days=later)
    end += timedelta(days=later + longer)
    if end <= start:
        return
    if max(abs(later), abs(longer), abs(later + longer)) <= 2:
        assert find_billing_month(start, end) == month
        return
    try:
        found = find_billing_month(start, end)
    except ValueError:
        return
    assert abs(start - found.start) <= timedelta(days=2)
    assert abs(end - found.shifted(1).start) <= timedelta(days=2)
    assert found != month


@pytest.mark.parametrize(
    ("start", "end"),
    [
        (datetime(1, 1, 1, tzinfo=UTC), datetime(1, 2, 1, tzinfo=UTC)),
        (datetime(9999, 12, 1, tzinfo=UTC), datetime.max.replace(tzinfo=UTC)),
        (datetime(9999, 12, 1, tzinfo=UTC), datetime(9999, 12, 31, tzinfo=UTC)),
    ],
)
def test_the_first_and_the_last_month_of_the_calendar(start: datetime, end: datetime) -> None:
    month = find_billing_month(start, end)
    assert (month.year, month.month) == (start.year, start.month)
    assert last_moment_of_period(start, end) <= month.end
