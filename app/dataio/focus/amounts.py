"""How a bill is cut into amounts that an invoice can hold, without gaining or losing anything."""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, ROUND_HALF_UP, Context, Decimal, localcontext
from typing import Generic, TypeVar

from app.billing import money
from app.billing.currencies import Currency
from app.dataio.focus.grouping import EXACT
from app.dataio.focus.price_rounding import share_out

TEN_PLACES = Decimal("1e-10")
_ROUNDING = Context(prec=120)

Key = TypeVar("Key", bound=Hashable)


@dataclass(frozen=True, slots=True)
class Amounts:
    """What one invoice charges."""

    unit_prices: tuple[Decimal, ...]
    """Of each line, in the order given, at 10 decimals."""
    prices: tuple[Decimal, ...]
    """Of each line, in the currency's decimals; they add up to `price`."""
    price: Decimal
    """The billed sum, rounded half up to the currency's decimals."""
    billed: Decimal
    """The exact sum of the costs."""

    @property
    def charged(self) -> Decimal:
        """The sum of the unit prices."""
        with localcontext(EXACT):
            return sum(self.unit_prices, Decimal(0))


@dataclass(frozen=True)
class Split(Generic[Key]):
    """The amounts of every invoice of a bill."""

    invoices: Mapping[Key, Amounts]

    @property
    def billed(self) -> Decimal:
        """The exact sum of all costs."""
        with localcontext(EXACT):
            return sum((each.billed for each in self.invoices.values()), Decimal(0))


def split(costs: Mapping[Key, Sequence[Decimal]], currency: Currency) -> Split[Key]:
    """Cut costs into amounts, for each invoice the costs of its lines, of which it has some.

    Each line gets its cost at 10 decimals. What that leaves goes to the invoice's largest line, so
    that the lines add up to the billed sum at 10 decimals; what is left over all invoices goes to
    the largest line of the largest invoice, so that all lines add up to the whole bill's.
    """
    with localcontext(EXACT):
        lines = {key: _lines(own) for key, own in costs.items()}
        billed = {key: sum(own, Decimal(0)) for key, own in costs.items()}
        if lines:
            left = ten_places(sum(billed.values(), Decimal(0))) - sum(map(sum, lines.values()))
            largest = max(billed, key=lambda key: abs(billed[key]))
            _give(lines[largest], costs[largest], left)
        return Split(
            {key: _amounts(costs[key], own, billed[key], currency) for key, own in lines.items()}
        )


def ten_places(amount: Decimal) -> Decimal:
    """Round half up to 10 decimals, which a unit price has."""
    return amount.quantize(TEN_PLACES, rounding=ROUND_HALF_UP, context=_ROUNDING)


def _lines(costs: Sequence[Decimal]) -> list[Decimal]:
    prices = [
        cost.quantize(TEN_PLACES, rounding=ROUND_HALF_EVEN, context=_ROUNDING) for cost in costs
    ]
    left = ten_places(sum(costs, Decimal(0))) - sum(prices, Decimal(0))
    _give(prices, costs, left)
    return prices


def _give(prices: list[Decimal], costs: Sequence[Decimal], left: Decimal) -> None:
    if left:
        largest = max(range(len(costs)), key=lambda index: abs(costs[index]))
        prices[largest] += left


def _amounts(
    costs: Sequence[Decimal], unit_prices: list[Decimal], billed: Decimal, currency: Currency
) -> Amounts:
    price = money.round_half_up(billed, currency)
    prices = share_out(price, costs, unit_prices, currency.smallest_unit)
    return Amounts(tuple(unit_prices), prices, price, billed)
