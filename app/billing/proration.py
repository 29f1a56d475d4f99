"""Proration: the quantity that is charged for a part of a month or a quarter."""

from calendar import monthrange
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal

from app.billing.enums import BillingUnit
from app.billing.money import quantize

_HOUR = timedelta(hours=1)
_HUNDREDTH = Decimal("0.01")
"""The precision of quantities, independent of the currency."""
_HALF = 15  # days in the first half of a month; the second half has the rest


def count_calendar_days(start: datetime, end: datetime) -> int:
    """Return the number of calendar days from `start` to `end`, both included."""
    return (end.date() - start.date()).days + 1


def count_started_hours(start: datetime, end: datetime) -> int:
    """Return the number of started hours between two times; `end` may be a last microsecond."""
    return -((start - end) // _HOUR)


def quarter_bounds(day: date) -> tuple[date, date]:
    """Return the first and the last day of the quarter that contains a day."""
    first_month = (day.month - 1) // 3 * 3 + 1
    last_month = first_month + 2
    last_day = monthrange(day.year, last_month)[1]
    return date(day.year, first_month, 1), date(day.year, last_month, last_day)


def charged_quantity(unit: BillingUnit, start: datetime, end: datetime) -> Decimal:
    """Return the units charged from `start` to `end`, the last moment that is charged.

    Shares of a month, half a month or a quarter are computed by days and rounded half up to two
    decimals; half a month is from the 1st to the 15th, or from the 16th to the end. Started hours
    and days count in full. A quantity has no duration and is charged once.

    Raises ValueError if the time ends before it starts, or extends beyond the month or quarter.
    """
    if end < start:
        raise ValueError("The time charged ends before it starts.")
    if unit is BillingUnit.QUANTITY:
        return Decimal(1)
    if unit is BillingUnit.HOUR:
        return Decimal(count_started_hours(start, end))
    if unit is BillingUnit.DAY:
        return Decimal(count_calendar_days(start, end))
    return quantize(_share(unit, start.date(), end.date()), _HUNDREDTH, ROUND_HALF_UP)


def _share(unit: BillingUnit, first: date, last: date) -> Decimal:
    if unit is BillingUnit.QUARTER:
        quarter_start, quarter_end = quarter_bounds(first)
        if last > quarter_end:
            raise ValueError("The time charged extends beyond the quarter.")
        return Decimal((last - first).days + 1) / ((quarter_end - quarter_start).days + 1)
    if (first.year, first.month) != (last.year, last.month):
        raise ValueError("The time charged extends beyond the month.")
    month_days = monthrange(first.year, first.month)[1]
    if unit is BillingUnit.MONTH:
        return Decimal(last.day - first.day + 1) / month_days
    first_half = max(0, min(last.day, _HALF) - first.day + 1)
    second_half = max(0, last.day - max(first.day, _HALF + 1) + 1)
    return Decimal(first_half) / _HALF + Decimal(second_half) / (month_days - _HALF)


@dataclass(frozen=True, slots=True)
class LimitPeriod:
    """A time during which a resource had one limit. The limit is charged, used or not."""

    start: datetime
    end: datetime
    quantity: int

    def to_details(self, unit: BillingUnit) -> dict[str, str | int]:
        """Return the period as an item's details show it; `billing_periods` are hours or days."""
        count = count_started_hours if unit is BillingUnit.HOUR else count_calendar_days
        length = count(self.start, self.end)
        return {
            "start": self.start.isoformat(),
            "end": self.end.isoformat(),
            "quantity": self.quantity,
            "billing_periods": length,
            "total": str(self.quantity * length),
        }


def charged_limit(unit: BillingUnit, periods: Iterable[LimitPeriod]) -> Decimal:
    """Return the units charged for limits that changed over time."""
    return sum(
        (period.quantity * charged_quantity(unit, period.start, period.end) for period in periods),
        Decimal(0),
    )
