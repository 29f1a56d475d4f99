"""Billing periods: calendar months in UTC."""

from calendar import monthrange
from dataclasses import dataclass
from datetime import MINYEAR, UTC, date, datetime, timedelta
from typing import Final, Self


@dataclass(frozen=True, order=True, slots=True)
class Period:
    """One calendar month, for which a customer gets one invoice."""

    year: int
    month: int

    @classmethod
    def containing(cls, day: date) -> Self:
        """Return the period that contains a day, or a time in UTC."""
        return cls(day.year, day.month)

    def shifted(self, months: int) -> Self:
        """Return the period so many months later, or earlier if negative."""
        year, month = divmod(self.year * 12 + self.month - 1 + months, 12)
        return type(self)(year, month + 1)

    @property
    def first_day(self) -> date:
        """The first day of the month."""
        return date(self.year, self.month, 1)

    @property
    def last_day(self) -> date:
        """The last day of the month."""
        return date(self.year, self.month, monthrange(self.year, self.month)[1])

    @property
    def start(self) -> datetime:
        """The first moment of the month."""
        return datetime(self.year, self.month, 1, tzinfo=UTC)

    @property
    def end(self) -> datetime:
        """The last microsecond of the month."""
        last = self.last_day
        return datetime(last.year, last.month, last.day, 23, 59, 59, 999999, tzinfo=UTC)

    def __str__(self) -> str:
        return f"{self.year}-{self.month}"


FIRST_PERIOD: Final = Period(MINYEAR, 1)


def one_year_before(day: date) -> date:
    """Return the same day twelve months earlier; 29 February becomes 28 February.

    For a day of year 1, which has no year before it, it is the first day of that year.
    """
    year = day.year - 1
    if year < MINYEAR:
        return date.min
    return date(year, day.month, min(day.day, monthrange(year, day.month)[1]))


def last_thirteen_periods(today: date) -> list[Period]:
    """Return the periods from the same month a year ago to the current one, oldest first."""
    current = Period.containing(today)
    return [current.shifted(months) for months in range(-12, 1)]


def due_date(invoice_date: date, payment_interval_days: int) -> date:
    """Return the day by which an invoice issued on `invoice_date` must be paid.

    It is 9999-12-31 at the latest, the last day that Python has.
    """
    try:
        return invoice_date + timedelta(days=payment_interval_days)
    except OverflowError:
        return date.max
