"""The rule for a restated bill: the differences between a bill and the lines issued for it.

A cloud may change the bill of a month after its invoice was issued. The invoice does not change:
credit notes give back what the new bill has less of, and another invoice bills what it has more of.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import Final
from uuid import UUID

from app.billing import money
from app.billing.currencies import Currency

_ZERO: Final = Decimal(0)


@dataclass(frozen=True, slots=True)
class IssuedLine:
    """A line of an issued invoice for an item of the bill: the item, or an earlier difference.

    Prices are without tax.
    """

    item: UUID
    """The item of the bill."""
    line: UUID
    """The line's own UUID."""
    invoice: int
    """The key of its invoice."""
    price: Decimal
    restated: Decimal
    """The part that credit notes of earlier restatements gave back."""
    rest: Decimal
    """The price less all credit notes."""


@dataclass(frozen=True, slots=True)
class BilledItems:
    """What invoices and credit notes billed of a bill before."""

    issued: Sequence[IssuedLine]
    """Oldest first."""
    pending: Mapping[UUID, Decimal]
    """By item, the prices of the differences on invoices that are not issued: they can change."""
    invoice_rests: Mapping[int, Decimal]
    """The sums of the invoices without tax, less their credit notes: no credit note exceeds
    them."""

    @property
    def price(self) -> Decimal:
        """The sum of the lines and differences less the credit notes of restatements."""
        lines = _sum(line.price - line.restated for line in self.issued)
        return lines + _sum(self.pending.values())


@dataclass(frozen=True, slots=True)
class LineCredit:
    """A part of an issued line that a credit note gives back."""

    invoice: int
    line: UUID
    price: Decimal
    """Without tax; positive."""


@dataclass(frozen=True, slots=True)
class Restatement:
    """The changes by which the issued lines and the differences add up to a bill."""

    credits: Sequence[LineCredit] = field(default_factory=list)
    differences: Mapping[UUID, Decimal] = field(default_factory=dict)
    """The new price of the difference that is billed for an item, where it changes; zero: none."""
    kept: Decimal = _ZERO
    """The sum that is not given back, since credit notes with another reason already did."""

    @property
    def is_empty(self) -> bool:
        """Whether nothing is to be changed."""
        return not self.credits and not self.differences


def restate(
    costs: Mapping[UUID, Decimal], total: Decimal, before: BilledItems, currency: Currency
) -> Restatement:
    """Return the changes that make a bill of what was issued; none if they add up already.

    `costs` are the exact costs of the bill's items, and `total` is their sum, rounded.

    An item keeps its price while that is less than one smallest unit from its cost, so that items
    whose costs did not change rarely change. A credit note gives back charges alone; the part that
    no charge has left, such as a new refund, becomes a negative difference. Credit notes of other
    reasons are no part of the comparison: the part that they gave back is not given back again.
    """
    lines: dict[UUID, list[IssuedLine]] = {}
    for line in before.issued:
        lines.setdefault(line.item, []).append(line)
    billed = {item: _sum(line.price - line.restated for line in own) for item, own in lines.items()}
    pending = before.pending
    prices = {
        item: billed.get(item, _ZERO) + pending.get(item, _ZERO) for item in {**billed, **pending}
    }
    rests = {invoice: max(rest, _ZERO) for invoice, rest in before.invoice_rests.items()}
    credits: list[LineCredit] = []
    differences: dict[UUID, Decimal] = {}
    kept = _ZERO
    for item, price in _price_items(costs, total, prices, currency).items():
        difference = price - billed.get(item, _ZERO)
        given_otherwise = _ZERO
        for line in lines.get(item, ()):
            charged = max(line.price - line.restated, _ZERO)
            left = max(min(charged, line.rest), _ZERO)
            given_otherwise += charged - left
            part = min(-difference, left, rests[line.invoice])
            if part > 0:
                credits.append(LineCredit(line.invoice, line.line, part))
                rests[line.invoice] -= part
                difference += part
        if difference < 0:
            own_kept = min(-difference, given_otherwise)
            difference += own_kept
            kept += own_kept
        if difference != pending.get(item, _ZERO):
            differences[item] = difference
    return Restatement(credits, differences, kept)


def _sum(amounts: Iterable[Decimal]) -> Decimal:
    return sum(amounts, _ZERO)


def _price_items(
    costs: Mapping[UUID, Decimal],
    total: Decimal,
    billed: Mapping[UUID, Decimal],
    currency: Currency,
) -> dict[UUID, Decimal]:
    """Return the price of every item of the bill or billed before. They add up to the total.

    A price is the cost rounded up or down, so that few prices change.
    """
    prices: dict[UUID, Decimal] = {}
    ranges: dict[UUID, tuple[Decimal, Decimal]] = {}
    for item in {**costs, **billed}:
        cost, before = costs.get(item, _ZERO), billed.get(item, _ZERO)
        lowest = money.quantize(cost, currency.smallest_unit, ROUND_FLOOR)
        highest = money.quantize(cost, currency.smallest_unit, ROUND_CEILING)
        ranges[item] = lowest, highest
        keeps = lowest <= before <= highest
        prices[item] = before if keeps else money.round_half_even(cost, currency)
    left = total - _sum(prices.values())
    step = currency.smallest_unit if left > 0 else -currency.smallest_unit
    candidates = [
        item
        for item, (lowest, highest) in ranges.items()
        if lowest <= prices[item] + step <= highest
    ]

    def priority(item: UUID) -> tuple[bool, Decimal]:
        """Return the key by which prices that change anyway come first, then the worst ones."""
        cost, keeps = costs.get(item, _ZERO), prices[item] == billed.get(item, _ZERO)
        return keeps, -abs(money.EXACT.subtract(cost, prices[item]))

    for item in sorted(candidates, key=priority)[: int(left / step)]:
        prices[item] += step
    return prices
