"""Splits a bill into the amounts of invoices and their lines; the sums stay equal to the bill."""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from decimal import (
    ROUND_HALF_EVEN,
    ROUND_HALF_UP,
    Context,
    Decimal,
    localcontext,
)
from math import ceil, floor
from typing import TypeVar

from app.billing import money
from app.billing.currencies import Currency
from app.dataio.focus.charge_groups import EXACT_ARITHMETIC

TEN_DECIMALS = Decimal("1e-10")
_ROUNDING = Context(prec=120)

Key = TypeVar("Key", bound=Hashable)


@dataclass(frozen=True, slots=True)
class InvoiceSums:
    """The sums of one invoice."""

    billed: Decimal
    """The exact sum of the costs."""
    charged: Decimal
    """The sum of the unit prices."""
    price: Decimal
    """The sum of the prices."""


@dataclass(frozen=True, slots=True)
class InvoiceAmounts:
    """The amounts of one invoice."""

    unit_prices: tuple[Decimal, ...]
    """The unit price of each line, with 10 decimals."""
    prices: tuple[Decimal, ...]
    """The price of each line, with the decimals of the currency. Their sum is `price`."""
    price: Decimal
    """The billed sum, rounded half up to the decimals of the currency."""
    billed: Decimal
    """The exact sum of the costs."""

    @property
    def charged(self) -> Decimal:
        """The sum of the unit prices."""
        with localcontext(EXACT_ARITHMETIC):
            return sum(self.unit_prices, Decimal(0))


def split_bill(
    costs: Mapping[Key, Sequence[Decimal]], currency: Currency
) -> dict[Key, InvoiceAmounts]:
    """Return the amounts of each invoice, from the costs of its one or more lines.

    Each line gets its cost, rounded to 10 decimals. The invoice's largest line gets the remainder,
    so that the lines add up to the billed sum at 10 decimals. The largest line of the largest
    invoice gets the remainder of all invoices, so that all lines add up to the bill.
    """
    with localcontext(EXACT_ARITHMETIC):
        unit_prices = {key: _round_costs(own) for key, own in costs.items()}
        billed = {key: sum(own, Decimal(0)) for key, own in costs.items()}
        if unit_prices:
            charged = sum(map(sum, unit_prices.values()))
            remainder = round_to_ten_decimals(sum(billed.values(), Decimal(0))) - charged
            largest = max(billed, key=lambda key: abs(billed[key]))
            _add_to_largest(unit_prices[largest], costs[largest], remainder)
        return {
            key: _invoice_amounts(costs[key], own, billed[key], currency)
            for key, own in unit_prices.items()
        }


def round_to_ten_decimals(amount: Decimal) -> Decimal:
    """Round half up to the 10 decimals of a unit price."""
    return amount.quantize(TEN_DECIMALS, rounding=ROUND_HALF_UP, context=_ROUNDING)


def _round_costs(costs: Sequence[Decimal]) -> list[Decimal]:
    prices = [
        cost.quantize(TEN_DECIMALS, rounding=ROUND_HALF_EVEN, context=_ROUNDING) for cost in costs
    ]
    remainder = round_to_ten_decimals(sum(costs, Decimal(0))) - sum(prices, Decimal(0))
    _add_to_largest(prices, costs, remainder)
    return prices


def _add_to_largest(prices: list[Decimal], costs: Sequence[Decimal], remainder: Decimal) -> None:
    if remainder:
        largest = max(range(len(costs)), key=lambda index: abs(costs[index]))
        prices[largest] += remainder


def _invoice_amounts(
    costs: Sequence[Decimal], unit_prices: list[Decimal], billed: Decimal, currency: Currency
) -> InvoiceAmounts:
    price = money.round_half_up(billed, currency)
    prices = apportion_total(price, costs, unit_prices, currency.smallest_unit)
    return InvoiceAmounts(tuple(unit_prices), prices, price, billed)


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
        exact = [cost / unit for cost in costs]
        ranges = [
            _whole_units(quotient, price / unit)
            for quotient, price in zip(exact, unit_prices, strict=True)
        ]
        # There are as many units left as lines to take one: they are the sum of the remainders, up
        # to half a unit by the rounding of the total and to the rounding errors of the unit prices.
        left = int(total / unit) - sum(lowest for lowest, _ in ranges)
        candidates = [i for i, (lowest, highest) in enumerate(ranges) if lowest < highest]
        candidates.sort(key=lambda i: (ranges[i][0] - exact[i], -abs(exact[i])))
        units = [lowest for lowest, _ in ranges]
        for i in candidates[:left]:
            units[i] += 1
        return tuple(count * unit for count in units)


def _whole_units(*amounts: Decimal) -> tuple[int, int]:
    """Return the lowest and highest number of units that is less than one from each amount."""
    return floor(max(amounts)), ceil(min(amounts))
