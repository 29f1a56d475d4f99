"""UUIDs that are derived from the identifiers in a cost export, equal in every import."""

from functools import lru_cache, partial
from json.encoder import encode_basestring_ascii
from uuid import NAMESPACE_URL, UUID, uuid5

from app.dataio.focus.categories import CORRECTION
from app.dataio.focus.charge_groups import ChargeGroupKey, InvoiceKey

_NAMESPACE = uuid5(NAMESPACE_URL, "urn:cloud-invoicing:focus")


@lru_cache(maxsize=131_072)  # consecutive lines have most of their identifiers in common
def _derive(kind: str, *parts: object) -> UUID:
    # As a JSON list, which separates the parts: no two lists have the same text.
    texts = map(encode_basestring_ascii, (kind, *map(str, parts)))
    return uuid5(_NAMESPACE, f"[{', '.join(texts)}]")


customer_uuid = partial(_derive, "customer")
"""Returns the UUID of the customer of a billing account, by the account's key."""
seller_uuid = partial(_derive, "seller")
"""Returns the UUID of a provider as a customer that sells."""
service_provider_uuid = partial(_derive, "service_provider")
"""Returns the UUID of a provider as a service provider."""
category_uuid = partial(_derive, "category")
"""Returns the UUID of a service category."""


def offering_uuid(key: ChargeGroupKey) -> UUID:
    """Return the UUID of the offering of a provider's service in a category."""
    return _derive("offering", key.provider, key.category, key.service)


def project_uuid(account: str, sub_account: str) -> UUID:
    """Return the UUID of the project of a sub account."""
    return _derive("project", account, sub_account)


def resource_uuid(key: ChargeGroupKey) -> UUID:
    """Return the UUID of a resource. Each sub account and service has its own of the same id."""
    return _derive(
        "resource",
        key.account,
        key.sub_account,
        key.provider,
        key.category,
        key.service,
        key.resource,
    )


def invoice_uuid(key: InvoiceKey) -> UUID:
    """Return the UUID of a new invoice."""
    return _derive("invoice", *key)


def item_uuid(key: ChargeGroupKey) -> UUID:
    """Return the UUID of the item of a group of charges."""
    *usual, corrected_month = key
    if not corrected_month:
        return _derive("item", *usual)  # as in releases without lines for corrections
    return _derive("item", *usual, CORRECTION, corrected_month)


def difference_uuid(item: UUID, invoice: UUID) -> UUID:
    """Return the UUID of the difference of an item of a restated bill, on another invoice."""
    return _derive("difference", item, invoice)


def rounding_uuid(key: InvoiceKey) -> UUID:
    """Return the UUID of the item by which earlier releases rounded an invoice."""
    return _derive("rounding", *key)
