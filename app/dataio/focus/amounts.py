"""Splits a bill into the amounts of invoices and their lines; the sums stay equal to the bill."""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, ROUND_HALF_UP, Context, Decimal, localcontext
from typing import TypeVar

from app.billing import money
from app.billing.currencies import Currency
from app.dataio.focus.charge_groups import EXACT_ARITHMETIC
from app.dataio.focus.price_rounding import apportion_total

TEN_DECIMALS = Decimal("1e-10")
_ROUNDING = Context(prec=120)

Key = TypeVar("Key", bound=Hashable)


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
