"""From a CSV file to charges, one row at a time."""

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

from app.dataio.focus import cells, columns
from app.dataio.focus.billing_month import month_of
from app.dataio.focus.categories import ADJUSTMENT, CREDIT, category_of, class_of
from app.dataio.focus.errors import NotImported
from app.dataio.focus.file_formats import GZIP, refuse_other_formats

_FAULTS_TOLD = 20
_LONGEST_CELL = 16 * 1024 * 1024  # tags and price details can be long
_OTHER = "Other"
"""What FOCUS calls a service category that is none of the others."""

Progress = Callable[[float], object]
"""Called with the part that is done, from 0 to 1."""
RowListener = Callable[[int, Sequence[str]], object]
"""Called with each row of charges: the number of its first line, and all its cells."""

_Value = TypeVar("_Value")


class Charge(NamedTuple):
    """One row; text that the file leaves out is empty."""

    billed_cost: Decimal
    currency: str
    account: str
    issuer: str
    """Who issues the invoice; the provider where the file does not say."""
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


def read(
    path: Path,
    progress: Progress = lambda _: None,
    listener: RowListener | None = None,
) -> Iterator[Charge]:
    """Yield each charge of a file, which may be packed with gzip.

    `progress` hears what part of the file was read, `listener` hears of each good row. Raises
    NotImported, at the end at the latest, if columns are missing or cells are wrong.
    """
    with _opened(path) as (raw, rows):
        size = os.fstat(raw.fileno()).st_size or 1
        titles = _titles(rows)
        row_of = _Row(titles)
        faults: list[str] = []
        line = rows.line_num + 1
        for values in _rows(rows):
            if any(values):
                try:
                    charge = row_of(values)
                except ValueError as error:
                    faults.append(f"line {line}: {error}")
                else:
                    if listener is not None:
                        listener(line, values)
                    yield charge
            if line % 1000 == 0:
                progress(raw.tell() / size)
            line = rows.line_num + 1
        progress(1)
    if faults:
        told = faults[:_FAULTS_TOLD]
        if len(faults) > len(told):
            told.append(f"and {len(faults) - len(told):,} more wrong rows")
        raise NotImported(*told)


def read_titles(path: Path) -> list[str]:
    """Return the titles of a file's columns; raises NotImported as `read` does."""
    with _opened(path) as (_, rows):
        return _titles(rows)


@contextmanager
def _opened(path: Path) -> Iterator[tuple[IO[bytes], Any]]:
    """Open a file as rows of cells; the first of the pair tells how far it is read."""
    csv.field_size_limit(_LONGEST_CELL)
    try:
        with path.open("rb") as raw:
            packed = raw.read(len(GZIP)) == GZIP
            raw.seek(0)
            source: Any = gzip.GzipFile(fileobj=raw) if packed else raw
            refuse_other_formats(source)
            lines = TextIOWrapper(source, encoding="utf-8-sig", newline="")
            yield raw, csv.reader(lines, strict=True)
    except UnicodeDecodeError as error:
        raise NotImported(
            f"{path} is not UTF-8 text: {error.reason}.", "Save it as CSV in UTF-8."
        ) from error
    except (OSError, EOFError, zlib.error) as error:
        raise NotImported(f"{path} cannot be read: {error}.") from error


def _rows(rows: Any) -> Iterator[list[str]]:
    while True:
        try:
            values = next(rows)
        except StopIteration:
            return
        except csv.Error as error:
            raise NotImported(f"line {rows.line_num}: {error}") from error
        yield values


def _titles(rows: Any) -> list[str]:
    titles = next((values for values in _rows(rows) if any(values)), None)
    if titles is None:
        raise NotImported("The file is empty.")
    return titles


class _Row:
    """Makes a charge of a row's cells."""

    def __init__(self, titles: list[str]) -> None:
        self._titles = titles
        self._width = len(titles)
        self._titled = max((i + 1 for i, title in enumerate(titles) if title.strip()), default=0)
        self._places = places = columns.places(titles)
        self._providers = [
            self._column(name, cells.text) for name in columns.PROVIDERS if name in places
        ]
        self._cost = self._column("BilledCost", cells.money)
        self._currency = self._column("BillingCurrency", _given)
        self._account = self._column("BillingAccountId", _given)
        self._charge_start = self._column("ChargePeriodStart", cells.moment)
        self._charge_end = self._column("ChargePeriodEnd", cells.moment)
        self._category = self._column("ChargeCategory", category_of)
        self._class = self._column("ChargeClass", class_of)
        self._pricing_quantity = self._column("PricingQuantity", cells.quantity)
        self._consumed_quantity = self._column("ConsumedQuantity", cells.quantity)
        self._period = places["BillingPeriodStart"], places["BillingPeriodEnd"]
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

    def __call__(self, values: list[str]) -> Charge:
        """Return the charge; raises ValueError that names the column."""
        if len(values) != self._width:
            self._check_width(values)
        elif values == self._titles:
            raise ValueError(
                "repeats the titles of the columns: several files were put together here; "
                "import them as files of their own, in one command"
            )
        start, end = self._charge_start(values), self._charge_end(values)
        if end < start:
            raise ValueError("ChargePeriodEnd is before ChargePeriodStart")
        period_start, period_end = _billing_period(*(values[place] for place in self._period))
        provider = self._provider(values)
        charge_category = self._category(values)
        if charge_category == ADJUSTMENT and self._subcategory(values).casefold() == "credit":
            charge_category = CREDIT  # 1.0 preview has no such category, but a subcategory
        return Charge(
            billed_cost=self._cost(values),
            currency=self._currency(values).upper(),
            account=self._account(values),
            issuer=self._issuer(values) or provider,
            account_name=self._account_name(values),
            period_start=period_start,
            period_end=period_end,
            sub_account=self._sub_account(values),
            sub_account_name=self._sub_account_name(values),
            provider=provider,
            category=self._service_category(values) or _OTHER,
            service=self._service(values) or _OTHER,
            resource=self._resource(values),
            resource_name=self._resource_name(values),
            description=self._description(values),
            charge_category=charge_category,
            charge_class=self._class(values),
            charge_start=start,
            charge_end=end,
            pricing_quantity=self._pricing_quantity(values),
            pricing_unit=self._pricing_unit(values),
            consumed_quantity=self._consumed_quantity(values),
            consumed_unit=self._consumed_unit(values),
            invoice_id=self._invoice_id(values),
        )

    def _column(
        self, name: str, read: Callable[[str], _Value]
    ) -> Callable[[Sequence[str]], _Value]:
        """Return what reads a column's cell in a row; an absent column's cells are empty."""
        place = self._places.get(name)
        if place is None:
            nothing = read("")
            return lambda _: nothing
        title = self._titles[place].strip()

        def cell(values: Sequence[str]) -> _Value:
            try:
                return read(values[place])
            except ValueError as error:
                raise ValueError(f"{title} {error}") from error

        return cell

    def _text(self, name: str) -> Callable[[Sequence[str]], str]:
        return self._column(name, cells.text)

    def _check_width(self, values: list[str]) -> None:
        """Accept empty cells more, or fewer, behind the last column that has a title."""
        if len(values) < self._titled or any(values[self._width :]):
            raise ValueError(f"has {len(values)} cells where the header has {self._width}")

    def _provider(self, values: Sequence[str]) -> str:
        for provider in self._providers:
            if name := provider(values):
                return name
        names = (name for name in columns.PROVIDERS if name in self._places)
        raise ValueError(f"{self._titles[self._places[next(names)]].strip()} is empty")


def _given(cell: str) -> str:
    value = cells.text(cell)
    if not value:
        raise ValueError("is empty")
    return value


@lru_cache(maxsize=4096)
def _billing_period(start_cell: str, end_cell: str) -> tuple[datetime, datetime]:
    """Return start and end of a billing period, which must be a month."""
    start = _named("BillingPeriodStart", start_cell)
    end = _named("BillingPeriodEnd", end_cell)
    if end <= start:
        raise ValueError("BillingPeriodEnd is not after BillingPeriodStart")
    try:
        month_of(start, end)
    except ValueError as error:
        told = f"{cells.quoted(start_cell.strip())} to {cells.quoted(end_cell.strip())}"
        raise ValueError(f"BillingPeriodStart to BillingPeriodEnd {error}: {told}") from error
    return start, end


def _named(column: str, cell: str) -> datetime:
    try:
        return cells.moment(cell)
    except ValueError as error:
        raise ValueError(f"{column} {error}") from error
