"""The columns of FOCUS that an import reads, by the names of every version since 1.0 preview."""

import re
from collections.abc import Sequence

from app.dataio.focus.errors import NotImported

NEEDED = (
    "BilledCost",
    "BillingAccountId",
    "BillingCurrency",
    "BillingPeriodStart",
    "BillingPeriodEnd",
    "ChargeCategory",
    "ChargePeriodStart",
    "ChargePeriodEnd",
    "ServiceName",
)
"""What no bill can be made without."""
PROVIDERS = ("ServiceProviderName", "ProviderName", "InvoiceIssuerName", "PublisherName")
"""Who provides the service: the first one that a row names. FOCUS 1.3 replaced ProviderName by
ServiceProviderName, 1.4 took it out; a file has at least one of the first two."""
OPTIONAL = (
    "BillingAccountName",
    "ChargeClass",
    "ChargeDescription",
    "ChargeSubcategory",
    "ConsumedQuantity",
    "ConsumedUnit",
    "InvoiceId",
    "PricingQuantity",
    "PricingUnit",
    "ResourceId",
    "ResourceName",
    "ServiceCategory",
    "SubAccountId",
    "SubAccountName",
)
OTHER_NAMES = {
    "Provider": "ProviderName",
    "InvoiceIssuer": "InvoiceIssuerName",
    "Publisher": "PublisherName",
    "UsageQuantity": "ConsumedQuantity",
    "UsageUnit": "ConsumedUnit",
}
"""Names of 1.0 preview. The first three are its display names, which 1.0 to 1.2 kept, and which
exports of Oracle's cloud have as titles; docs/focus.md has the sources."""


def plain(title: str) -> str:
    """Return what titles are compared by: their letters and digits alone, in any case."""
    return re.sub(r"[^a-z0-9]", "", title.casefold())


_KNOWN = {plain(name): name for name in (*NEEDED, *PROVIDERS, *OPTIONAL)}
_OTHERS = {plain(other): name for other, name in OTHER_NAMES.items()}


def places(titles: Sequence[str]) -> dict[str, int]:
    """Return where each known column is, by its name of today.

    A column that stands there under its name of today and under another one is read by the former.
    Raises NotImported where one is missing or there twice.
    """
    found: dict[str, int] = {}
    for names in (_KNOWN, _OTHERS):
        for name, place in _named(titles, names).items():
            found.setdefault(name, place)
    missing = [name for name in NEEDED if name not in found]
    if not any(name in found for name in PROVIDERS[:2]):
        missing.append("ServiceProviderName (or ProviderName)")
    if missing:
        raise NotImported(
            f"The file is no FOCUS cost export: these columns are missing: {', '.join(missing)}.",
            *_separated_otherwise(titles),
        )
    return found


def all_places(titles: Sequence[str]) -> dict[str, int]:
    """Return where each column with a title is; known ones by their names of today.

    Raises NotImported as `places` does.
    """
    found = places(titles)
    read = set(found.values())
    for place, title in enumerate(titles):
        if place not in read and title.strip():
            name = plain(title) or title.strip()
            while name in found:  # a title that is there twice, or an old name beside a new one
                name += "'"
            found[name] = place
    return found


def _named(titles: Sequence[str], names: dict[str, str]) -> dict[str, int]:
    found: dict[str, int] = {}
    for place, title in enumerate(titles):
        name = names.get(plain(title))
        if name is None:
            continue
        if name in found:
            raise NotImported(f"The column {title.strip()} is there twice.")
        found[name] = place
    return found


def _separated_otherwise(titles: Sequence[str]) -> list[str]:
    for separator, called in ((";", "semicolons"), ("\t", "tabs"), ("|", "vertical bars")):
        if len(titles) == 1 and separator in titles[0]:
            return [f"Its cells are separated by {called}; a CSV file of FOCUS has commas."]
    return []
