"""What an import of a cost export did, in numbers and in words."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal, localcontext
from enum import StrEnum

from app.dataio.focus.amounts import Amounts
from app.dataio.focus.grouping import EXACT


class Fate(StrEnum):
    """What became of an invoice."""

    NEW = "new"
    UPDATED = "updated"
    UNCHANGED = "unchanged"
    REFUSED = "refused"


@dataclass(frozen=True)
class InvoiceOutcome:
    """One invoice of the file."""

    customer: str
    year: int
    month: int
    number: int | None
    fate: Fate
    amounts: Amounts
    note: str = ""


@dataclass
class Outcome:
    """The whole import."""

    currency: str
    rows: int
    invoices: list[InvoiceOutcome]
    billed: Decimal
    """The exact sum of the file."""
    left_out: dict[str, int] = field(default_factory=dict)
    """Rows in other currencies."""
    tax_rows: int = 0
    """Rows of the category Tax."""
    tax: Decimal = Decimal(0)
    """What these rows bill."""
    tax_dropped: bool = False
    """Whether these rows were to be left out."""
    warnings: list[str] = field(default_factory=list)
    issued: int = 0
    not_issued: list[str] = field(default_factory=list)

    @property
    def refused(self) -> list[InvoiceOutcome]:
        """The invoices that were left as they are though the file has them otherwise."""
        return [each for each in self.invoices if each.fate is Fate.REFUSED]

    @property
    def imported(self) -> list[InvoiceOutcome]:
        """The invoices that are as the file has them."""
        return [each for each in self.invoices if each.fate is not Fate.REFUSED]

    @property
    def charged(self) -> Decimal:
        """The sum of the imported invoices' items, at 10 decimals."""
        with localcontext(EXACT):
            return sum((each.amounts.charged for each in self.imported), Decimal(0))

    @property
    def price(self) -> Decimal:
        """The sum of the imported invoices in the currency's decimals, without tax."""
        with localcontext(EXACT):
            return sum((each.amounts.price for each in self.imported), Decimal(0))

    def lines(self) -> Iterator[str]:
        """Yield the outcome as a person reads it."""
        invoices = counted(len(self.invoices), "invoice")
        yield f"{counted(self.rows, 'charge')} in {self.currency}, {invoices}:"
        rows = [_cells(each) for each in self.invoices]
        total = ("", "", "all", f"{self.billed:f}", f"{self.charged:f}", f"{self.price:f}")
        yield from _table([_TITLES, *rows, total])
        for each in self.invoices:
            if each.note:
                yield f"{each.year}-{each.month:02} {each.customer}: {each.note}"
        for currency, count in sorted(self.left_out.items()):
            yield f"Left out: {counted(count, 'charge')} in {currency}."
        taxes = f"{counted(self.tax_rows, 'row')} of tax, {self.tax:f} {self.currency} in all"
        if self.tax_dropped:
            yield f"Dropped: {taxes}."
        elif self.tax_rows:
            yield f"Kept: {taxes}; their invoices have a tax of 0 %."
        yield from self.warnings
        if self.issued:
            yield f"Issued: {counted(self.issued, 'invoice')}."
        yield from self.not_issued


def counted(count: int, noun: str) -> str:
    """Return a number with what it is of: 1 charge, 2,000 charges."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


_TITLES = ("number", "month", "customer", "billed in the file", "items", "invoice", "")


def _cells(each: InvoiceOutcome) -> tuple[str, ...]:
    is_imported = each.fate is not Fate.REFUSED
    return (
        "" if each.number is None else str(each.number),
        f"{each.year}-{each.month:02}",
        each.customer if len(each.customer) <= 40 else f"{each.customer[:39]}…",
        f"{each.amounts.billed:f}",
        f"{each.amounts.charged:f}" if is_imported else "",
        f"{each.amounts.price:f}" if is_imported else "",
        each.fate.value,
    )


def _table(rows: list[tuple[str, ...]]) -> Iterator[str]:
    widths = [max(len(row[i]) for row in rows if i < len(row)) for i in range(len(_TITLES))]
    for row in rows:
        cells = [
            cell.rjust(width) if 3 <= i <= 5 else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=False))
        ]
        yield ("  " + "  ".join(cells)).rstrip()
