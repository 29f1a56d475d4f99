"""The columns of report files. docs/reports.md describes each."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from enum import Enum, auto
from typing import Final

from app.billing import money
from app.billing.currencies import Currency
from app.database.lists import Row
from app.invoices.rendering.rendered import shown_state
from app.reports.queries.report_rows import ReportRows

Cell = str | int | Decimal | date | None


@dataclass(frozen=True, slots=True)
class ReportFormat:
    """The properties of the deployment that rows show."""

    currency: Currency
    has_grace_period: bool
    """Whether `pending_finalization` is shown as a state of its own."""


class CellKind(Enum):
    """How the cells of a column are written."""

    TEXT = auto()
    INTEGER = auto()
    AMOUNT = auto()
    """An amount with all decimals of the currency."""
    NUMBER = auto()
    """A number with as many decimals as it has."""
    DATE = auto()


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a report file."""

    name: str
    kind: CellKind = CellKind.TEXT
    value: Callable[[Row, ReportFormat], Cell] | None = None
    """Returns the value of a row; by default it is the row's own under the name."""

    def cell(self, row: Row, report_format: ReportFormat) -> Cell:
        """Return the value of a row."""
        cell: Cell = row[self.name] if self.value is None else self.value(row, report_format)
        return cell


def _text(name: str) -> Column:
    """Return a column of a value's text; empty for null."""
    return Column(name, value=lambda row, _: "" if row[name] is None else str(row[name]))


def _amount(name: str, value: Callable[[Row, ReportFormat], Decimal] | None = None) -> Column:
    return Column(name, CellKind.AMOUNT, value)


def _day(name: str) -> Column:
    """Return a column of the day, in UTC, of a time."""
    return Column(name, CellKind.DATE, lambda row, _: row[name].date())


def _tax(row: Row, report_format: ReportFormat) -> Decimal:
    tax = money.tax_on(row["price"], row["tax_percent"])
    return money.round_half_even(tax, report_format.currency)


def _total(row: Row, report_format: ReportFormat) -> Decimal:
    total = money.with_tax(row["price"], row["tax_percent"])
    return money.round_half_even(total, report_format.currency)


def _state(row: Row, report_format: ReportFormat) -> str:
    return shown_state(row["invoice_state"], has_grace_period=report_format.has_grace_period)


_INTEGER: Final = CellKind.INTEGER
_CUSTOMER: Final = (_text("customer_uuid"), _text("customer_name"))
_INVOICE: Final = (
    _text("invoice_uuid"),
    Column("invoice_number", _INTEGER),
    Column("invoice_year", _INTEGER),
    Column("invoice_month", _INTEGER),
    Column("invoice_date", CellKind.DATE),
    Column("due_date", CellKind.DATE),
    _amount("invoice_price"),
    _amount("invoice_tax", lambda row, _: row["invoice_total"] - row["invoice_price"]),
    _amount("invoice_total"),
)
_FURTHER: Final = (
    Column("invoice_state", value=_state),
    Column("tax_percent", CellKind.NUMBER),
    Column("currency", value=lambda _, report_format: report_format.currency.code),
    _text("reference_number"),
    _text("registration_code"),
    _text("agreement_number"),
    _text("vat_code"),
    _text("country"),
)
COLUMNS: Final[Mapping[ReportRows, tuple[Column, ...]]] = {
    ReportRows.ITEMS: (
        *_CUSTOMER,
        _text("project_uuid"),
        _text("project_name"),
        *_INVOICE,
        _text("name"),
        _text("article_code"),
        _amount("price"),
        _amount("tax", _tax),
        _amount("total", _total),
        Column("unit_price", CellKind.NUMBER),
        _text("unit"),
        _day("start"),
        _day("end"),
        Column("quantity", CellKind.NUMBER),
        _text("measured_unit"),
        Column("is_compensation", _INTEGER, lambda row, _: int(row["credit"])),
        _text("offering_name"),
        _text("provider_name"),
        _text("resource_uuid"),
        _text("resource_name"),
        *_FURTHER,
    ),
    ReportRows.CUSTOMERS: (
        *_CUSTOMER,
        *_INVOICE,
        Column("item_count", _INTEGER),
        _amount("compensations"),
        *_FURTHER,
    ),
}
"""Of files with items, the first 22 are the columns of a Waldur's report under the same names."""
