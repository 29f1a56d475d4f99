"""Rounds the prices of an invoice's lines so that they add up to its billed total."""

from collections.abc import Sequence
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal, localcontext

from app.dataio.focus.charge_groups import EXACT_ARITHMETIC


def apportion_total(
    total: Decimal, costs: Sequence[Decimal], unit_prices: Sequence[Decimal], unit: Decimal
) -> tuple[Decimal, ...]:
    """Return a price for each line, in whole units of the currency. The sum is `total`.

    Uses the largest remainder method: each line gets its cost rounded down, and the lines with the
    largest remainders get the units that are left. Of equal remainders the larger cost comes first,
    then the earlier line. `total` is the sum of the exact `costs`, rounded to units; `unit_prices`
    are the costs at 10 decimals, with rounding errors. A price differs from both by less than one
    unit.
    """
    with localcontext(EXACT_ARITHMETIC):
        ranges = [
            _whole_units(cost / unit, price / unit)
            for cost, price in zip(costs, unit_prices, strict=True)
        ]
        # There are as many units left as lines to take one: they are the sum of the remainders, up
        # to half a unit by the rounding of the total and to the rounding errors of the unit prices.
        left = int(total / unit) - sum(lowest for lowest, _ in ranges)
        candidates = [i for i, (lowest, highest) in enumerate(ranges) if lowest < highest]
        candidates.sort(key=lambda i: (ranges[i][0] - costs[i] / unit, -abs(costs[i])))
        units = [lowest for lowest, _ in ranges]
        for i in candidates[:left]:
            units[i] += 1
        return tuple(count * unit for count in units)


def _whole_units(*amounts: Decimal) -> tuple[int, int]:
    """Return the lowest and highest number of units that is less than one from each amount."""
    lowest = max(int(amount.to_integral_value(ROUND_FLOOR)) for amount in amounts)
    highest = min(int(amount.to_integral_value(ROUND_CEILING)) for amount in amounts)
    return lowest, highest
