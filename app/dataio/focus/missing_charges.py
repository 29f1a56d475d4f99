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


@dataclass(frozen=True)
class MissingCharges:
    """The charges that an invoice would lose."""

    removed: tuple[InvoiceLine, ...]
    """Lines that the bill does not have."""
    reduced: tuple[tuple[InvoiceLine, InvoiceLine], ...]
    """Lines that lack charges in the bill: the stored line and the bill's line."""

    def __bool__(self) -> bool:
        return bool(self.removed or self.reduced)

    def __str__(self) -> str:
        parts = []
        if self.removed:
            items = count_noun(len(self.removed), "item")
            parts.append(f"{items} of {_sum_prices(self.removed)} would be removed")
        if self.reduced:
            before, after = zip(*self.reduced, strict=True)
            items = count_noun(len(self.reduced), "item")
            parts.append(
                f"{items} of {_sum_prices(before)} would lose charges and become"
                f" {_sum_prices(after)}"
            )
        return " and ".join(parts)


def find_missing_charges(
    stored: Mapping[UUID, InvoiceLine], billed: Mapping[UUID, InvoiceLine]
) -> MissingCharges:
    """Compare the lines of earlier imports with those of a bill, by their UUIDs."""
    removed = tuple(line for uuid, line in stored.items() if uuid not in billed)
    reduced = tuple(
        (line, billed[uuid])
        for uuid, line in stored.items()
        if uuid in billed and billed[uuid].lacks_charges_of(line)
    )
    return MissingCharges(removed, reduced)


def _sum_prices(lines: Iterable[InvoiceLine]) -> str:
    return f"{sum((line.price for line in lines), Decimal(0)):f}"
