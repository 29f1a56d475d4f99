"""UUIDs that follow from the identifiers of a cost export, so that they are the same next time."""

import json
from functools import lru_cache
from uuid import NAMESPACE_URL, UUID, uuid5

from app.dataio.focus.categories import CORRECTION
from app.dataio.focus.grouping import GroupKey, InvoiceKey

_NAMESPACE = uuid5(NAMESPACE_URL, "urn:cloud-invoicing:focus")


@lru_cache(maxsize=131_072)  # each line asks again for what the line before it asked
def _of(kind: str, *parts: object) -> UUID:
    # JSON keeps the parts apart: whatever they hold, two lists never read the same.
    return uuid5(_NAMESPACE, json.dumps([kind, *map(str, parts)]))


def customer(account: str) -> UUID:
    """Return the UUID of the customer that a billing account is, by its key."""
    return _of("customer", account)


def seller(provider: str) -> UUID:
    """Return the UUID of the customer that a provider is in its part as a seller."""
    return _of("seller", provider)


def service_provider(provider: str) -> UUID:
    """Return the UUID of a provider's record as a service provider."""
    return _of("service_provider", provider)


def category(title: str) -> UUID:
    """Return the UUID of a service category."""
    return _of("category", title)


def offering(key: GroupKey) -> UUID:
    """Return the UUID of the offering that a provider's service in a category is."""
    return _of("offering", key.provider, key.category, key.service)


def project(account: str, sub_account: str) -> UUID:
    """Return the UUID of the project that a sub account is."""
    return _of("project", account, sub_account)


def resource(key: GroupKey) -> UUID:
    """Return the UUID of a resource; one that several sub accounts or services name is several."""
    return _of(
        "resource",
        key.account,
        key.sub_account,
        key.provider,
        key.category,
        key.service,
        key.resource,
    )


def invoice(key: InvoiceKey) -> UUID:
    """Return the UUID that an invoice gets if there is none for its customer and month."""
    return _of("invoice", *key)


def item(key: GroupKey) -> UUID:
    """Return the UUID of the line that a group of charges becomes."""
    *usual, corrected_month = key
    if not corrected_month:
        return _of("item", *usual)  # as before corrections were told apart
    return _of("item", *usual, CORRECTION, corrected_month)


def rounding(key: InvoiceKey) -> UUID:
    """Return the UUID of the item by which earlier versions rounded an invoice."""
    return _of("rounding", *key)
