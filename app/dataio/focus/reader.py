"""Reads charges from a CSV file, row by row."""

import csv
import gzip
import os
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from decimal import Decimal
from io import TextIOWrapper
from pathlib import Path
from typing import IO, Any, NamedTuple, TypeVar

from app.dataio.focus import cells, column_names
from app.dataio.focus.billing_month import find_billing_month
from app.dataio.focus.categories import ADJUSTMENT, CREDIT
from app.dataio.focus.errors import FocusImportError
from app.dataio.focus.format_detection import GZIP, require_csv

_MAX_LISTED_ERRORS = 20
_MAX_CELL_CHARACTERS = 16 * 1024 * 1024  # tags and price details can be long

Progress = Callable[[float], object]
"""Called with the fraction that is done, from 0 to 1."""
RowListener = Callable[[int, Sequence[str]], object]
"""Called with each row of charges: the number of its first line, and its cells."""

_Value = TypeVar("_Value")


class Charge(NamedTuple):
    """One row. A text that the file does not have is empty."""

    charge_start: datetime
    charge_end: datetime
    period_start: datetime
    period_end: datetime
    provider: str
    issuer: str
    """The issuer of the invoice; empty if it is the provider."""
    charge_category: str
    subcategory: str
    """Only in 1.0 preview."""
    charge_class: str
    billed_cost: Decimal
    currency: str
    account: str
    account_name: str
    sub_account: str
    sub_account_name: str
    category: str
    service: str
    resource: str
    resource_name: str
    description: str
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
        self._positions = column_names.find_columns(titles)
        self._parsers = [
            self._column(*column_names.FIELDS[field])
            if field in column_names.FIELDS
            else self._provider
            for field in Charge._fields
        ]
        self._providers = [
            self._column(name, cells.parse_text)
            for name in column_names.PROVIDERS
            if name in self._positions
        ]

    def __call__(self, row: list[str]) -> Charge:
        """Return the charge; raises ValueError with the name of the column."""
        if len(row) != self._width:
            self._check_width(row)
        elif row == self._titles:
            raise ValueError(
                "repeats the column titles: the file is several files in one; "
                "import them as separate files, in one command"
            )
        charge = Charge._make([parse_cell(row) for parse_cell in self._parsers])
        if charge.charge_end < charge.charge_start:
            raise ValueError("ChargePeriodEnd is before ChargePeriodStart")
        self._check_billing_period(charge.period_start, charge.period_end, row)
        if charge.charge_category == ADJUSTMENT and charge.subcategory.casefold() == "credit":
            return charge._replace(charge_category=CREDIT)  # 1.0 preview has no such category
        return charge

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

    def _check_width(self, row: list[str]) -> None:
        """Accept missing or additional empty cells after the last column with a title."""
        if len(row) < self._titled_width or any(row[self._width :]):
            raise ValueError(f"has {len(row)} cells, but the header has {self._width}")

    def _check_billing_period(self, start: datetime, end: datetime, row: list[str]) -> None:
        """Raise ValueError if a billing period is not a month."""
        if end <= start:
            raise ValueError("BillingPeriodEnd is not after BillingPeriodStart")
        try:
            find_billing_month(start, end)
        except ValueError as error:
            names = ("BillingPeriodStart", "BillingPeriodEnd")
            bounds = [cells.quote(row[self._positions[name]].strip()) for name in names]
            raise ValueError(f"{' to '.join(names)} {error}: {' to '.join(bounds)}") from error

    def _provider(self, row: Sequence[str]) -> str:
        for parse_cell in self._providers:
            if name := parse_cell(row):
                return name
        names = (name for name in column_names.PROVIDERS if name in self._positions)
        raise ValueError(f"{self._titles[self._positions[next(names)]].strip()} is empty")
