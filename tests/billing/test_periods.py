"""Billing periods as calendar months."""

from datetime import UTC, date, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from app.billing.periods import Period, due_date, last_thirteen_periods, one_year_before

periods = st.builds(Period, st.integers(2, 9998), st.integers(1, 12))


@given(periods)
def test_a_period_ends_where_the_next_begins(period: Period) -> None:
    assert period.end + timedelta(microseconds=1) == period.shifted(1).start
    assert Period.containing(period.start) == Period.containing(period.end) == period


@given(periods, st.integers(-12, 12))
def test_shifting_back_returns(period: Period, months: int) -> None:
    assert period.shifted(months).shifted(-months) == period


@given(st.dates(min_value=date(2, 3, 1)))
def test_thirteen_periods_reach_back_a_year(today: date) -> None:
    listed = last_thirteen_periods(today)
    assert len(listed) == 13
    assert listed == sorted(listed)
    assert (listed[0].year, listed[0].month) == (today.year - 1, today.month)
    assert listed[-1] == Period.containing(today)
    assert Period.containing(one_year_before(today)) == listed[0]


def test_one_year_before_a_leap_day() -> None:
    assert one_year_before(date(2024, 2, 29)) == date(2023, 2, 28)


@given(st.dates(max_value=date(1, 12, 31)))
def test_one_year_before_the_first_year(day: date) -> None:
    assert one_year_before(day) == date.min


@given(st.dates(), st.integers(0, 10**12))
def test_the_due_date_is_the_interval_later_or_the_last_day(day: date, interval: int) -> None:
    due = due_date(day, interval)
    assert due >= day
    assert (due - day).days == interval or due == date.max


def test_the_name_and_the_days_of_a_period() -> None:
    assert str(Period(2026, 1)) == "2026-1"
    assert Period(2024, 2).last_day == date(2024, 2, 29)
    assert Period(2026, 12).end == datetime(2026, 12, 31, 23, 59, 59, 999999, tzinfo=UTC)
    assert due_date(date(2026, 11, 1), 30) == date(2026, 12, 1)
