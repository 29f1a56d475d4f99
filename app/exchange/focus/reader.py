"""From a CSV file to charges, one row at a time."""

import csv
import gzip
import os
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from io import TextIOWrapper
from pathlib import Path
from typing import IO, Any

from app.exchange.focus import cells
from app.exchange.focus.problems import NotImported

MANDATORY = (
    "BilledCost",
    "BillingAccountId",
    "BillingCurrency",
    "BillingPeriodStart",
    "BillingPeriodEnd",
    "ChargeCategory",
    "ChargeDescription",
    "ChargePeriodStart",
    "ChargePeriodEnd",
    "PricingUnit",
    "ServiceCategory",
    "ServiceName",
)
PROVIDERS = ("ServiceProviderName", "ProviderName", "InvoiceIssuerName", "PublisherName")
"""Who provides the service: the first one that a row names. FOCUS 1.3 replaced ProviderName by
ServiceProviderName, 1.4 took it out; a file has at least one of the first two."""
OPTIONAL = (
    "BillingAccountName",
    "ConsumedQuantity",
    "ConsumedUnit",
    "PricingQuantity",
    "ResourceId",
    "ResourceName",
    "SubAccountId",
    "SubAccountName",
)
_FAULTS_TOLD = 20
_LONGEST_CELL = 16 * 1024 * 1024  # tags and price details can be long
_OTHER = "Other"
"""What FOCUS calls a service category that is none of the others."""

Progress = Callable[[float], object]
"""Called with the part that is done, from 0 to 1."""


@dataclass(frozen=True, slots=True)
class Charge:
    """One row; text that the file leaves out is empty."""

    billed_cost: Decimal
    currency: str
    account: str
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
    charge_start: datetime
    charge_end: datetime
    pricing_quantity: Decimal | None
    pricing_unit: str
    consumed_quantity: Decimal | None
    consumed_unit: str


def read(path: Path, progress: Progress = lambda _: None) -> Iterator[Charge]:
    """Yield each charge of a file, which may be packed with gzip.

    `progress` hears what part of the file was read. Raises NotImported, at the end at the
    latest, if columns are missing or cells are wrong.
    """
    csv.field_size_limit(_LONGEST_CELL)
    with _opened(path) as (raw, lines):
        rows = csv.reader(lines, strict=True)
        size = os.fstat(raw.fileno()).st_size or 1
        row_of = _Row(_header(rows))
        faults: list[str] = []
        line = rows.line_num + 1
        for values in _rows(rows):
            if values:
                try:
                    yield row_of(values)
                except ValueError as error:
                    faults.append(f"line {line}: {error}")
            if line % 1000 == 0:
                progress(raw.tell() / size)
            line = rows.line_num + 1
        progress(1)
    if faults:
        told = faults[:_FAULTS_TOLD]
        if len(faults) > len(told):
            told.append(f"and {len(faults) - len(told):,} more wrong rows")
        raise NotImported(*told)


@contextmanager
def _opened(path: Path) -> Iterator[tuple[IO[bytes], IO[str]]]:
    try:
        with path.open("rb") as raw:
            packed = raw.read(2) == b"\x1f\x8b"
            raw.seek(0)
            source: Any = gzip.GzipFile(fileobj=raw) if packed else raw
            yield raw, TextIOWrapper(source, encoding="utf-8-sig", newline="")
    except UnicodeDecodeError as error:
        raise NotImported(f"{path} is not UTF-8 text: {error.reason}.") from error
    except (OSError, EOFError) as error:
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


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.casefold())


def _header(rows: Any) -> dict[str, int]:
    """Return where each known column is; names are compared by their letters and digits alone."""
    header = next(_rows(rows), None)
    if header is None:
        raise NotImported("The file is empty.")
    known = {_plain(name): name for name in (*MANDATORY, *PROVIDERS, *OPTIONAL)}
    places: dict[str, int] = {}
    for place, title in enumerate(header):
        name = known.get(_plain(title))
        if name in places:
            raise NotImported(f"The column {name} is there twice.")
        if name is not None:
            places[name] = place
    missing = [name for name in MANDATORY if name not in places]
    if not any(name in places for name in PROVIDERS[:2]):
        missing.append("ServiceProviderName (or ProviderName)")
    if missing:
        raise NotImported(
            f"The file is no FOCUS cost export: these columns are missing: {', '.join(missing)}."
        )
    places["/"] = len(header)
    return places


class _Row:
    """Makes a charge of a row's cells."""

    def __init__(self, places: dict[str, int]) -> None:
        self._width = places.pop("/")
        self._places = places
        self._providers = [name for name in PROVIDERS if name in places]

    def __call__(self, values: Sequence[str]) -> Charge:
        """Return the charge; raises ValueError that names the column."""
        if len(values) != self._width:
            raise ValueError(f"has {len(values)} cells where the header has {self._width}")
        get, text = self._get, self._text
        start = get(values, "ChargePeriodStart", cells.moment)
        end = get(values, "ChargePeriodEnd", cells.moment)
        period_start = get(values, "BillingPeriodStart", cells.moment)
        period_end = get(values, "BillingPeriodEnd", cells.moment)
        if end < start:
            raise ValueError("ChargePeriodEnd is before ChargePeriodStart")
        if period_end <= period_start:
            raise ValueError("BillingPeriodEnd is not after BillingPeriodStart")
        return Charge(
            billed_cost=get(values, "BilledCost", cells.money),
            currency=self._given(values, "BillingCurrency").upper(),
            account=self._given(values, "BillingAccountId"),
            account_name=text(values, "BillingAccountName"),
            period_start=period_start,
            period_end=period_end,
            sub_account=text(values, "SubAccountId"),
            sub_account_name=text(values, "SubAccountName"),
            provider=self._provider(values),
            category=text(values, "ServiceCategory") or _OTHER,
            service=text(values, "ServiceName") or _OTHER,
            resource=text(values, "ResourceId"),
            resource_name=text(values, "ResourceName"),
            description=text(values, "ChargeDescription"),
            charge_category=self._given(values, "ChargeCategory"),
            charge_start=start,
            charge_end=end,
            pricing_quantity=get(values, "PricingQuantity", cells.quantity),
            pricing_unit=text(values, "PricingUnit"),
            consumed_quantity=get(values, "ConsumedQuantity", cells.quantity),
            consumed_unit=text(values, "ConsumedUnit"),
        )

    def _get(self, values: Sequence[str], column: str, read: Callable[[str], Any]) -> Any:
        place = self._places.get(column)
        if place is None:
            return None
        try:
            return read(values[place])
        except ValueError as error:
            raise ValueError(f"{column} {error}") from error

    def _text(self, values: Sequence[str], column: str) -> str:
        return self._get(values, column, cells.text) or ""

    def _given(self, values: Sequence[str], column: str) -> str:
        value = self._text(values, column)
        if not value:
            raise ValueError(f"{column} is empty")
        return value

    def _provider(self, values: Sequence[str]) -> str:
        for column in self._providers:
            if value := self._text(values, column):
                return value
        raise ValueError(f"{self._providers[0]} is empty")
