"""Reads charges from a CSV file, row by row."""

import csv
import gzip
import os
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from decimal import Decimal
from functools import lru_cache
from io import TextIOWrapper
from pathlib import Path
from typing import IO, Any, NamedTuple, TypeVar

from app.dataio.focus import cells, column_names
from app.dataio.focus.billing_month import find_billing_month
from app.dataio.focus.categories import (
    ADJUSTMENT,
    CREDIT,
    parse_charge_category,
    parse_charge_class,
)
from app.dataio.focus.errors import FocusImportError
from app.dataio.focus.format_detection import GZIP, require_csv

_MAX_LISTED_ERRORS = 20
_MAX_CELL_CHARACTERS = 16 * 1024 * 1024  # tags and price details can be long
_OTHER = "Other"
"""The service category of FOCUS for services that have no other."""

Progress = Callable[[float], object]
"""Called with the fraction that is done, from 0 to 1."""
RowListener = Callable[[int, Sequence[str]], object]
"""Called with each row of charges: the number of its first line, and its cells."""

_Value = TypeVar("_Value")


class Charge(NamedTuple):
    """One row. A text that the file does not have is empty."""

    billed_cost: Decimal
    currency: str
    account: str
    issuer: str
    """The issuer of the invoice; the provider if the file has no issuer."""
    account_name: str
    period_start: datetime
    period_end: datetime
    sub_account: str
    sub_account_name: str
    provider: str
    category: str
    service: str
    resource: str
    resource_name: str
    description: str
    charge_category: str
    charge_class: str
    charge_start: datetime
    charge_end: datetime
    pricing_quantity: Decimal | None
    pricing_unit: str
    consumed_quantity: Decimal | None
    consumed_unit: str
    invoice_id: str


def read_charges(
    path: Path,
    progress: Progress = lambda _: None,
    listener: RowListener | None = None,
) -> Iterator[Charge]:
    """Yield each charge of a file, which may be compressed with gzip.

    Calls `progress` with the fraction of the file that has been read, and `listener` with each
    valid row. Raises FocusImportError, at the latest at the end, for missing columns or invalid
    cells.
    """
    with _open_rows(path) as (raw, rows):
        size = os.fstat(raw.fileno()).st_size or 1
        parse_row = _RowParser(_read_titles(rows))
        errors: list[str] = []
        line = rows.line_num + 1
        for row in _read_rows(rows):
            if any(row):
                try:
                    charge = parse_row(row)
                except ValueError as error:
                    errors.append(f"line {line}: {error}")
                else:
                    if listener is not None:
                        listener(line, row)
                    yield charge
            if line % 1000 == 0:
                progress(raw.tell() / size)
            line = rows.line_num + 1
        progress(1)
    if errors:
        listed = errors[:_MAX_LISTED_ERRORS]
        if len(errors) > len(listed):
            listed.append(f"and {len(errors) - len(listed):,} more invalid rows")
        raise FocusImportError(*listed)


def read_column_titles(path: Path) -> list[str]:
    """Return the titles of a file's columns; raises FocusImportError as `read_charges` does."""
    with _open_rows(path) as (_, rows):
        return _read_titles(rows)


@contextmanager
def _open_rows(path: Path) -> Iterator[tuple[IO[bytes], Any]]:
    """Yield the file, whose position shows the progress, and a reader of its rows."""
    csv.field_size_limit(_MAX_CELL_CHARACTERS)
    try:
        with path.open("rb") as raw:
            is_compressed = raw.read(len(GZIP)) == GZIP
            raw.seek(0)
            source: Any = gzip.GzipFile(fileobj=raw) if is_compressed else raw
            require_csv(source)
            lines = TextIOWrapper(source, encoding="utf-8-sig", newline="")
            yield raw, csv.reader(lines, strict=True)
    except UnicodeDecodeError as error:
        raise FocusImportError(
            f"{path} is not UTF-8 text: {error.reason}.", "Save it as CSV in UTF-8."
        ) from error
    except (OSError, EOFError, zlib.error) as error:
        raise FocusImportError(f"{path} cannot be read: {error}.") from error


def _read_rows(rows: Any) -> Iterator[list[str]]:
    while True:
        try:
            row = next(rows)
        except StopIteration:
            return
        except csv.Error as error:
            raise FocusImportError(f"line {rows.line_num}: {error}") from error
        yield row


def _read_titles(rows: Any) -> list[str]:
    titles = next((row for row in _read_rows(rows) if any(row)), None)
    if titles is None:
        raise FocusImportError("The file is empty.")
    return titles


class _RowParser:
    """Parses the cells of a row."""

    def __init__(self, titles: list[str]) -> None:
        self._titles = titles
        self._width = len(titles)
        self._titled_width = max(
            (i + 1 for i, title in enumerate(titles) if title.strip()), default=0
        )
        self._positions = positions = column_names.find_columns(titles)
        self._providers = [self._text(name) for name in column_names.PROVIDERS if name in positions]
        self._cost = self._column("BilledCost", cells.parse_money)
        self._currency = self._column("BillingCurrency", _parse_required_text)
        self._account = self._column("BillingAccountId", _parse_required_text)
        self._charge_start = self._column("ChargePeriodStart", cells.parse_timestamp)
        self._charge_end = self._column("ChargePeriodEnd", cells.parse_timestamp)
        self._category = self._column("ChargeCategory", parse_charge_category)
        self._class = self._column("ChargeClass", parse_charge_class)
        self._pricing_quantity = self._column("PricingQuantity", cells.parse_quantity)
        self._consumed_quantity = self._column("ConsumedQuantity", cells.parse_quantity)
        self._period = positions["BillingPeriodStart"], positions["BillingPeriodEnd"]
        self._issuer = self._text("InvoiceIssuerName")
        self._subcategory = self._text("ChargeSubcategory")
        self._account_name = self._text("BillingAccountName")
        self._sub_account = self._text("SubAccountId")
        self._sub_account_name = self._text("SubAccountName")
        self._service_category = self._text("ServiceCategory")
        self._service = self._text("ServiceName")
        self._resource = self._text("ResourceId")
        self._resource_name = self._text("ResourceName")
        self._description = self._text("ChargeDescription")
        self._pricing_unit = self._text("PricingUnit")
        self._consumed_unit = self._text("ConsumedUnit")
        self._invoice_id = self._text("InvoiceId")

    def __call__(self, row: list[str]) -> Charge:
        """Return the charge; raises ValueError with the name of the column."""
        if len(row) != self._width:
            self._check_width(row)
        elif row == self._titles:
            raise ValueError(
                "repeats the column titles: the file is several files in one; "
                "import them as separate files, in one command"
            )
        start, end = self._charge_start(row), self._charge_end(row)
        if end < start:
            raise ValueError("ChargePeriodEnd is before ChargePeriodStart")
        period_start, period_end = _parse_billing_period(*(row[place] for place in self._period))
        provider = self._provider(row)
        charge_category = self._category(row)
        if charge_category == ADJUSTMENT and self._subcategory(row).casefold() == "credit":
            charge_category = CREDIT  # 1.0 preview has a subcategory instead of the category
        return Charge(
            billed_cost=self._cost(row),
            currency=self._currency(row).upper(),
            account=self._account(row),
            issuer=self._issuer(row) or provider,
            account_name=self._account_name(row),
            period_start=period_start,
            period_end=period_end,
            sub_account=self._sub_account(row),
            sub_account_name=self._sub_account_name(row),
            provider=provider,
            category=self._service_category(row) or _OTHER,
            service=self._service(row) or _OTHER,
            resource=self._resource(row),
            resource_name=self._resource_name(row),
            description=self._description(row),
            charge_category=charge_category,
            charge_class=self._class(row),
            charge_start=start,
            charge_end=end,
            pricing_quantity=self._pricing_quantity(row),
            pricing_unit=self._pricing_unit(row),
            consumed_quantity=self._consumed_quantity(row),
            consumed_unit=self._consumed_unit(row),
            invoice_id=self._invoice_id(row),
        )

    def _column(
        self, name: str, parse: Callable[[str], _Value]
    ) -> Callable[[Sequence[str]], _Value]:
        """Return a function that parses a column's cell. The cell of an absent column is empty."""
        position = self._positions.get(name)
        if position is None:
            empty = parse("")
            return lambda _: empty
        title = self._titles[position].strip()

        def parse_cell(row: Sequence[str]) -> _Value:
            try:
                return parse(row[position])
            except ValueError as error:
                raise ValueError(f"{title} {error}") from error

        return parse_cell

    def _text(self, name: str) -> Callable[[Sequence[str]], str]:
        return self._column(name, cells.parse_text)

    def _check_width(self, row: list[str]) -> None:
        """Accept missing or additional empty cells after the last column with a title."""
        if len(row) < self._titled_width or any(row[self._width :]):
            raise ValueError(f"has {len(row)} cells, but the header has {self._width}")

    def _provider(self, row: Sequence[str]) -> str:
        for parse_cell in self._providers:
            if name := parse_cell(row):
                return name
        names = (name for name in column_names.PROVIDERS if name in self._positions)
        raise ValueError(f"{self._titles[self._positions[next(names)]].strip()} is empty")


def _parse_required_text(cell: str) -> str:
    value = cells.parse_text(cell)
    if not value:
        raise ValueError("is empty")
    return value


@lru_cache(maxsize=4096)
def _parse_billing_period(start_cell: str, end_cell: str) -> tuple[datetime, datetime]:
    """Return the start and end of a billing period, which must be a month."""
    start = _parse_bound("BillingPeriodStart", start_cell)
    end = _parse_bound("BillingPeriodEnd", end_cell)
    if end <= start:
        raise ValueError("BillingPeriodEnd is not after BillingPeriodStart")
    try:
        find_billing_month(start, end)
    except ValueError as error:
        period = f"{cells.quote(start_cell.strip())} to {cells.quote(end_cell.strip())}"
        raise ValueError(f"BillingPeriodStart to BillingPeriodEnd {error}: {period}") from error
    return start, end


def _parse_bound(column: str, cell: str) -> datetime:
    try:
        return cells.parse_timestamp(cell)
    except ValueError as error:
        raise ValueError(f"{column} {error}") from error
