"""The calendar month of a billing period."""

from datetime import UTC, datetime, timedelta
from functools import lru_cache

from app.billing.periods import Period

TOLERANCE = timedelta(days=2)
"""The largest difference of a billing period's start, end and length from those of its month. A
time zone moves both bounds by up to 14 hours, and some exports end a period with its last day
instead of the day after it."""

_MICROSECOND = timedelta(microseconds=1)


@lru_cache(maxsize=4096)
def find_billing_month(start: datetime, end: datetime) -> Period:
    """Return the month that contains the middle of a billing period.

    Raises ValueError if the period differs from this month by more than `TOLERANCE`.
    """
    month = Period.containing(start + (end - start) / 2)
    start_offset, end_offset = start - month.start, end - month.end - _MICROSECOND
    if max(abs(start_offset), abs(end_offset), abs(end_offset - start_offset)) > TOLERANCE:
        raise ValueError("is not a calendar month")
    return month


@lru_cache(maxsize=4096)
def last_moment_of_period(start: datetime, end: datetime) -> datetime:
    """Return the last moment of a billing period, to the microsecond.

    `end` is exclusive, unless it is the start of the month's last day: then the day is included.
    """
    month = find_billing_month(start, end)
    last_day = month.last_day
    if end == datetime(last_day.year, last_day.month, last_day.day, tzinfo=UTC):
        return month.end
    return end - _MICROSECOND
