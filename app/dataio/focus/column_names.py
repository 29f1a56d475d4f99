"""The FOCUS columns that an import reads, by their names in every version since 1.0 preview."""

import re
from collections.abc import Callable, Sequence

from app.dataio.focus import cells
from app.dataio.focus.categories import parse_charge_category, parse_charge_class
from app.dataio.focus.errors import FocusImportError

PROVIDERS = ("ServiceProviderName", "ProviderName", "InvoiceIssuerName", "PublisherName")
"""The columns of the service provider; the first one that is not empty in a row is used. FOCUS 1.3
replaced ProviderName by ServiceProviderName, and 1.4 removed it. A file must have one of these
two."""
OTHER = "Other"
"""The service category of FOCUS for services that have no other."""


def _parse_service(cell: str) -> str:
    return cells.parse_text(cell) or OTHER


def _parse_currency(cell: str) -> str:
    return cells.parse_required_text(cell).upper()


_Fields = dict[str, tuple[str, Callable[[str], object]]]
_REQUIRED_FIELDS: _Fields = {
    "billed_cost": ("BilledCost", cells.parse_money),
    "account": ("BillingAccountId", cells.parse_required_text),
    "currency": ("BillingCurrency", _parse_currency),
    "period_start": ("BillingPeriodStart", cells.parse_timestamp),
    "period_end": ("BillingPeriodEnd", cells.parse_timestamp),
    "charge_category": ("ChargeCategory", parse_charge_category),
    "charge_start": ("ChargePeriodStart", cells.parse_timestamp),
    "charge_end": ("ChargePeriodEnd", cells.parse_timestamp),
    "service": ("ServiceName", _parse_service),
}
FIELDS: _Fields = _REQUIRED_FIELDS | {
    "subcategory": ("ChargeSubcategory", cells.parse_text),
    "issuer": ("InvoiceIssuerName", cells.parse_text),
    "account_name": ("BillingAccountName", cells.parse_text),
    "sub_account": ("SubAccountId", cells.parse_text),
    "sub_account_name": ("SubAccountName", cells.parse_text),
    "category": ("ServiceCategory", _parse_service),
    "resource": ("ResourceId", cells.parse_text),
    "resource_name": ("ResourceName", cells.parse_text),
    "description": ("ChargeDescription", cells.parse_text),
    "charge_class": ("ChargeClass", parse_charge_class),
    "pricing_quantity": ("PricingQuantity", cells.parse_quantity),
    "pricing_unit": ("PricingUnit", cells.parse_text),
    "consumed_quantity": ("ConsumedQuantity", cells.parse_quantity),
    "consumed_unit": ("ConsumedUnit", cells.parse_text),
    "invoice_id": ("InvoiceId", cells.parse_text),
}
"""The column and the parser of each field of a charge, except for the provider."""
REQUIRED = tuple(name for name, _ in _REQUIRED_FIELDS.values())
OTHER_NAMES = {
    "Provider": "ProviderName",
    "InvoiceIssuer": "InvoiceIssuerName",
    "Publisher": "PublisherName",
    "UsageQuantity": "ConsumedQuantity",
    "UsageUnit": "ConsumedUnit",
}
"""Names of 1.0 preview. The first three are also the display names in 1.0 to 1.2, which the exports
of Oracle's cloud have as titles. docs/focus.md has the sources."""


def normalize_title(title: str) -> str:
    """Return the letters and digits of a title in lower case, by which titles are compared."""
    return re.sub(r"[^a-z0-9]", "", title.casefold())


_NAMES = {
    normalize_title(name): name for name in (*PROVIDERS, *(name for name, _ in FIELDS.values()))
}
_NAMES_BY_OTHER = {normalize_title(other): name for other, name in OTHER_NAMES.items()}


def find_columns(titles: Sequence[str]) -> dict[str, int]:
    """Return the position of each known column by its current name.

    If a file has a column under its current and under another name, the current one is used. Raises
    FocusImportError for a missing or repeated column.
    """
    positions: dict[str, int] = {}
    for names in (_NAMES, _NAMES_BY_OTHER):
        for name, position in _find_named(titles, names).items():
            positions.setdefault(name, position)
    missing = [name for name in REQUIRED if name not in positions]
    if not any(name in positions for name in PROVIDERS[:2]):
        missing.append("ServiceProviderName (or ProviderName)")
    if missing:
        raise FocusImportError(
            f"The file is not a FOCUS cost export. Missing columns: {', '.join(missing)}.",
            *_separator_hint(titles),
        )
    return positions


def find_all_columns(titles: Sequence[str]) -> dict[str, int]:
    """Return the position of each column with a title; known ones by their current names.

    Raises FocusImportError as `find_columns` does.
    """
    positions = find_columns(titles)
    known = set(positions.values())
    for position, title in enumerate(titles):
        if position not in known and title.strip():
            name = normalize_title(title) or title.strip()
            while name in positions:  # a repeated title, or an old name beside the current one
                name += "'"
            positions[name] = position
    return positions


def _find_named(titles: Sequence[str], names: dict[str, str]) -> dict[str, int]:
    positions: dict[str, int] = {}
    for position, title in enumerate(titles):
        name = names.get(normalize_title(title))
        if name is None:
            continue
        if name in positions:
            raise FocusImportError(f"The file has the column {title.strip()} twice.")
        positions[name] = position
    return positions


def _separator_hint(titles: Sequence[str]) -> list[str]:
    for separator, name in ((";", "semicolons"), ("\t", "tabs"), ("|", "vertical bars")):
        if len(titles) == 1 and separator in titles[0]:
            return [f"Its cells are separated by {name}; a FOCUS CSV file has commas."]
    return []
