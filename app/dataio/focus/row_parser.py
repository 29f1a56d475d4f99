"""Parses the cells of the rows of a cost export. Here stand the rules of a row."""

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from functools import lru_cache
from itertools import repeat
from typing import Any, NamedTuple, TypeVar

from app.dataio.focus import cells, column_names
from app.dataio.focus.billing_month import find_billing_month
from app.dataio.focus.categories import ADJUSTMENT, CREDIT

_Value = TypeVar("_Value")
_Cell = TypeVar("_Cell", bound=Hashable)
_KNOWN_CELLS = 4096
"""Consecutive rows have many cells in common: the latest values of each column are kept."""


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


def parse_columns(
    cells_by_name: Mapping[str, Sequence[str | None]], values: Mapping[str, Sequence[Any]]
) -> Iterator[Charge]:
    """Return charges from columns of cells, by their names, as `RowParser` does from rows.

    `values` has columns that are parsed, by the field of a charge: the times and amounts. A cell
    that a column has often is parsed once. Raises ValueError, which does not say where.
    """
    columns: dict[str, Iterable[Any]] = {**values}
    for field, (name, parse) in column_names.FIELDS.items():
        if field in values:
            continue
        if name in cells_by_name:
            columns[field] = _map_distinct(cells_by_name[name], parse)
        else:
            columns[field] = repeat(parse(""))
    providers = [cells_by_name[each] for each in column_names.PROVIDERS if each in cells_by_name]
    columns["provider"] = _map_distinct([*zip(*providers, strict=True)], _find_provider)
    for bounds in set(zip(columns["period_start"], columns["period_end"], strict=True)):
        _check_bounds(*bounds)
        find_billing_month(*bounds)
    if column_names.FIELDS["subcategory"][0] in cells_by_name:
        pairs = zip(columns["charge_category"], columns["subcategory"], strict=True)
        columns["charge_category"] = [_settle_category(*pair) for pair in pairs]
    return map(Charge._make, zip(*(columns[field] for field in Charge._fields), strict=False))


def _map_distinct(cells_of_rows: Sequence[_Cell], parse: Callable[[Any], _Value]) -> list[_Value]:
    parsed = {cell: parse(cell or "") for cell in set(cells_of_rows)}
    return [*map(parsed.__getitem__, cells_of_rows)]


def _find_provider(cells_of_row: Iterable[str | None]) -> str:
    """Return the first name that is not empty; raises ValueError if there is none."""
    for cell in cells_of_row:
        if name := cells.parse_text(cell or ""):
            return name
    raise ValueError("is empty")


def _check_bounds(start: datetime, end: datetime) -> None:
    if end <= start:
        raise ValueError("BillingPeriodEnd is not after BillingPeriodStart")


def _settle_category(category: str, subcategory: str) -> str:
    """Return the category of 1.0: in 1.0 preview, Credit is a subcategory of Adjustment."""
    is_credit = category == ADJUSTMENT and subcategory.casefold() == "credit"
    return CREDIT if is_credit else category


class RowParser:
    """Parses the cells of a row."""

    def __init__(self, titles: Sequence[str]) -> None:
        self._titles = list(titles)
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

    def __call__(self, row: Sequence[str]) -> Charge:
        """Return the charge; raises ValueError with the name of the column."""
        if len(row) != self._width:
            self._check_width(row)
        elif list(row) == self._titles:
            raise ValueError(
                "repeats the column titles: the file is several files in one; "
                "import them as separate files, in one command"
            )
        charge = Charge._make([parse_cell(row) for parse_cell in self._parsers])
        if charge.charge_end < charge.charge_start:
            raise ValueError("ChargePeriodEnd is before ChargePeriodStart")
        self._check_billing_period(charge.period_start, charge.period_end, row)
        category = _settle_category(charge.charge_category, charge.subcategory)
        if category != charge.charge_category:
            return charge._replace(charge_category=category)
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
        parse = lru_cache(maxsize=_KNOWN_CELLS)(parse)

        def parse_cell(row: Sequence[str]) -> _Value:
            try:
                return parse(row[position])
            except ValueError as error:
                raise ValueError(f"{title} {error}") from error

        return parse_cell

    def _check_width(self, row: Sequence[str]) -> None:
        """Accept missing or additional empty cells after the last column with a title."""
        if len(row) < self._titled_width or any(row[self._width :]):
            raise ValueError(f"has {len(row)} cells, but the header has {self._width}")

    def _check_billing_period(self, start: datetime, end: datetime, row: Sequence[str]) -> None:
        """Raise ValueError if a billing period is not a month."""
        _check_bounds(start, end)
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
