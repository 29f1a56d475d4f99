"""Prices of an invoice's lines that add up to its billed total."""

from collections.abc import Sequence
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal, localcontext

from app.dataio.focus.grouping import EXACT


def share_out(
    total: Decimal, costs: Sequence[Decimal], unit_prices: Sequence[Decimal], unit: Decimal
) -> tuple[Decimal, ...]:
    """Return a price for each line, in whole units of the currency, that add up to `total`.

    By largest remainder: each line gets its cost rounded down, and the units that are left go to
    the lines that lost most; among equals to the one that costs more, then to the first. `total` is
    the sum of the exact `costs`, rounded to units; `unit_prices` are the costs at 10 decimals, by
    rounding errors from them. A price is less than one unit from both.
    """
    with localcontext(EXACT):
        ranges = [
            _whole_units(cost / unit, price / unit)
            for cost, price in zip(costs, unit_prices, strict=True)
        ]
        # As many as there are lines to take one: the remainders add up to it, give or take half a
        # unit for the rounding of the total and the rounding errors of the unit prices.
        left = int(total / unit) - sum(lowest for lowest, _ in ranges)
        may_get_one = [i for i, (lowest, highest) in enumerate(ranges) if lowest < highest]
        may_get_one.sort(key=lambda i: (ranges[i][0] - costs[i] / unit, -abs(costs[i])))
        units = [lowest for lowest, _ in ranges]
        for i in may_get_one[:left]:
            units[i] += 1
        return tuple(each * unit for each in units)


def _whole_units(*amounts: Decimal) -> tuple[int, int]:
    """Return the least and the most whole units that are less than one from each amount."""
    lowest = max(int(each.to_integral_value(ROUND_FLOOR)) for each in amounts)
    highest = min(int(each.to_integral_value(ROUND_CEILING)) for each in amounts)
    return lowest, highest
