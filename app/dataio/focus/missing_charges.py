"""Finds the charges of earlier imports that a bill does not have and would remove."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from app.dataio.focus.import_report import count_noun


@dataclass(frozen=True, slots=True)
class InvoiceLine:
    """An item of a bill, or of an earlier import."""

    price: Decimal
    """Without tax, as on the invoice."""
    billed_cost: Decimal
    """Exact."""
    charges: int
    """The number of charges in its sum."""
    start: datetime
    end: datetime

    def lacks_charges_of(self, earlier: "InvoiceLine") -> bool:
        """Return whether this line must lack charges of the earlier line.

        Later exports of a growing month hold all charges of the earlier ones. A line that begins
        later, ends earlier, or has fewer charges and a lower cost therefore has other charges.
        """
        has_fewer = self.charges < earlier.charges
        costs_less = abs(self.billed_cost) < abs(earlier.billed_cost)
        return self.start > earlier.start or self.end < earlier.end or (has_fewer and costs_less)


def describe_missing_charges(
    stored: Mapping[UUID, InvoiceLine], billed: Mapping[UUID, InvoiceLine]
) -> str:
    """Return which lines of earlier imports, by UUID, a bill lacks or reduces; empty if none."""
    removed = [line for uuid, line in stored.items() if uuid not in billed]
    reduced = [
        (line, billed[uuid])
        for uuid, line in stored.items()
        if uuid in billed and billed[uuid].lacks_charges_of(line)
    ]
    parts = []
    if removed:
        items = count_noun(len(removed), "item")
        parts.append(f"{items} of {_sum_prices(removed)} would be removed")
    if reduced:
        before, after = zip(*reduced, strict=True)
        items = count_noun(len(reduced), "item")
        parts.append(
            f"{items} of {_sum_prices(before)} would lose charges and become {_sum_prices(after)}"
        )
    return " and ".join(parts)


def _sum_prices(lines: Iterable[InvoiceLine]) -> str:
    return f"{sum((line.price for line in lines), Decimal(0)):f}"
