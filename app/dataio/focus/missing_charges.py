"""What a bill would take away of what an earlier import brought: charges that are not in it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from uuid import UUID


@dataclass(frozen=True, slots=True)
class Line:
    """An item that a bill makes, or that an earlier import made."""

    price: Decimal
    """Without tax, as it stands on the invoice."""
    billed_cost: Decimal
    """Exact."""
    charges: int
    """How many charges it sums up."""
    start: datetime
    end: datetime

    def lacks_charges_of(self, earlier: "Line") -> bool:
        """Tell whether charges of the earlier line must be missing in this one.

        Later exports of a growing month hold all charges of those before: a line that begins
        later, ends earlier, or has fewer charges and costs less is made of other ones.
        """
        fewer = self.charges < earlier.charges
        costs_less = abs(self.billed_cost) < abs(earlier.billed_cost)
        return self.start > earlier.start or self.end < earlier.end or (fewer and costs_less)


@dataclass(frozen=True)
class Losses:
    """What an invoice would lose."""

    removed: tuple[Line, ...]
    """Lines that are not in the bill."""
    cut: tuple[tuple[Line, Line], ...]
    """Lines that lack charges in the bill, as they are and as they would be."""

    def __bool__(self) -> bool:
        return bool(self.removed or self.cut)

    def __str__(self) -> str:
        parts = []
        if self.removed:
            parts.append(f"{_items(len(self.removed))} of {_sum(self.removed)} would be removed")
        if self.cut:
            before, after = zip(*self.cut, strict=True)
            parts.append(
                f"{_items(len(self.cut))} of {_sum(before)} would lack charges"
                f" and become {_sum(after)}"
            )
        return " and ".join(parts)


def losses(stored: Mapping[UUID, Line], given: Mapping[UUID, Line]) -> Losses:
    """Compare the lines that earlier imports brought with those of a bill, by their UUIDs."""
    removed = tuple(line for uuid, line in stored.items() if uuid not in given)
    cut = tuple(
        (line, given[uuid])
        for uuid, line in stored.items()
        if uuid in given and given[uuid].lacks_charges_of(line)
    )
    return Losses(removed, cut)


def _items(count: int) -> str:
    return "1 item" if count == 1 else f"{count:,} items"


def _sum(lines: Iterable[Line]) -> str:
    return f"{sum((line.price for line in lines), Decimal(0)):f}"
