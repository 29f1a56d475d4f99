"""The calendar month that a billing period is."""

from datetime import UTC, datetime, timedelta
from functools import lru_cache

from app.billing.periods import Period

TOLERANCE = timedelta(days=2)
"""How far the bounds of a billing period may be from those of its month, and its length from the
month's: a time zone moves both bounds by up to 14 hours, and some exports give the last day itself
instead of the day after it."""

_MICROSECOND = timedelta(microseconds=1)


@lru_cache(maxsize=4096)
def month_of(start: datetime, end: datetime) -> Period:
    """Return the month in which the middle of a billing period lies.

    Raises ValueError if the period is not this month, give or take `TOLERANCE`.
    """
    month = Period.containing(start + (end - start) / 2)
    begins_late, ends_late = start - month.start, end - month.end - _MICROSECOND
    if max(abs(begins_late), abs(ends_late), abs(ends_late - begins_late)) > TOLERANCE:
        raise ValueError("is not a calendar month")
    return month


def last_moment(start: datetime, end: datetime) -> datetime:
    """Return the last moment of a billing period, to the microsecond.

    A period that ends as the last day of its month begins has that day in it: `end` is not
    exclusive there.
    """
    month = month_of(start, end)
    last_day = month.last_day
    if end == datetime(last_day.year, last_day.month, last_day.day, tzinfo=UTC):
        return month.end
    return end - _MICROSECOND
