"""The result of an import of a cost export, and its text for the operator."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from decimal import Decimal, localcontext
from enum import StrEnum
from uuid import UUID

from app.dataio.focus.amounts import InvoiceAmounts, InvoiceSums
from app.dataio.focus.charge_groups import EXACT_ARITHMETIC, Bill

_MIN_DECIMALS = 2


class InvoiceOutcome(StrEnum):
    """The outcome of one invoice."""

    NEW = "new"
    UPDATED = "updated"
    UNCHANGED = "unchanged"
    RESTATED = "restated"
    """Credit notes or another invoice bill the difference from the issued invoice."""
    REFUSED = "refused"


@dataclass(frozen=True)
class InvoiceResult:
    """The result for one invoice of the bill."""

    uuid: UUID
    customer: str
    year: int
    month: int
    number: int | None
    outcome: InvoiceOutcome
    amounts: InvoiceAmounts | InvoiceSums
    note: str = ""


@dataclass
class FocusImportReport:
    """The result of one import."""

    currency: str
    bill: Bill
    invoices: list[InvoiceResult]
    tax_dropped: bool = False
    """Whether the bill's rows of the category Tax were skipped."""
    warnings: list[str] = field(default_factory=list)
    issued: int = 0
    not_issued: list[str] = field(default_factory=list)

    @property
    def refused(self) -> list[InvoiceResult]:
        """The invoices that differ from the bill and were left unchanged."""
        return [each for each in self.invoices if each.outcome is InvoiceOutcome.REFUSED]

    @property
    def imported(self) -> list[InvoiceResult]:
        """The invoices that are equal to the bill."""
        return [each for each in self.invoices if each.outcome is not InvoiceOutcome.REFUSED]

    @property
    def billed(self) -> Decimal:
        """The exact sum of the bill."""
        return _sum(each.amounts.billed for each in self.invoices)

    @property
    def charged(self) -> Decimal:
        """The sum of the imported invoices' unit prices, with 10 decimals."""
        return _sum(each.amounts.charged for each in self.imported)

    @property
    def price(self) -> Decimal:
        """The sum of the imported invoices without tax, with the decimals of the currency."""
        return _sum(each.amounts.price for each in self.imported)

    def lines(self) -> Iterator[str]:
        """Yield the text of the report."""
        bill, invoices = self.bill, count_noun(len(self.invoices), "invoice")
        yield f"{count_noun(bill.rows, 'charge')} in {self.currency}, {invoices}:"
        rows = [_cells(each) for each in self.invoices]
        total = ("", "", "all", print_exact(self.billed), f"{self.charged:f}", f"{self.price:f}")
        yield from _table([_TITLES, *rows, total])
        for each in self.invoices:
            if each.note:
                yield f"{each.year}-{each.month:02} {each.customer}: {each.note}"
        for currency, count in sorted(bill.currencies.items()):
            if currency != self.currency:
                yield f"Not imported: {count_noun(count, 'charge')} in {currency}."
        tax = f"{print_exact(bill.tax)} {self.currency}"
        taxes = f"{count_noun(bill.tax_rows, 'tax row')}, {tax} in total"
        if self.tax_dropped:
            yield f"Dropped: {taxes}."
        elif bill.tax_rows:
            yield f"Imported as items: {taxes}. Their invoices have a tax of 0 %."
        yield from self.warnings
        if self.issued:
            yield f"Issued: {count_noun(self.issued, 'invoice')}."
        yield from self.not_issued


def _sum(amounts: Iterable[Decimal]) -> Decimal:
    with localcontext(EXACT_ARITHMETIC):
        return sum(amounts, Decimal(0))


def count_noun(count: int, noun: str) -> str:
    """Return a number with its noun: 1 charge, 2,000 charges."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def print_exact(amount: Decimal) -> str:
    """Return an exact amount with all its decimals, at least two."""
    exact = amount.normalize(EXACT_ARITHMETIC)
    exponent = exact.as_tuple().exponent
    is_short = isinstance(exponent, int) and exponent > -_MIN_DECIMALS
    return f"{exact:.{_MIN_DECIMALS}f}" if is_short else f"{exact:f}"


_TITLES = ("number", "month", "customer", "billed in the file", "items", "invoice", "")
_AMOUNT_COLUMNS = range(3, 6)
_MAX_NAME = 40


def _cells(result: InvoiceResult) -> tuple[str, ...]:
    is_imported = result.outcome is not InvoiceOutcome.REFUSED
    name = result.customer
    return (
        "" if result.number is None else str(result.number),
        f"{result.year}-{result.month:02}",
        name if len(name) <= _MAX_NAME else f"{name[: _MAX_NAME - 1]}…",
        print_exact(result.amounts.billed),
        f"{result.amounts.charged:f}" if is_imported else "",
        f"{result.amounts.price:f}" if is_imported else "",
        result.outcome.value,
    )


def _table(rows: list[tuple[str, ...]]) -> Iterator[str]:
    widths = [max(len(row[i]) for row in rows if i < len(row)) for i in range(len(_TITLES))]
    for row in rows:
        cells = [
            cell.rjust(width) if i in _AMOUNT_COLUMNS else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=False))
        ]
        yield ("  " + "  ".join(cells)).rstrip()
