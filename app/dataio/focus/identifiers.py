"""UUIDs that are derived from the identifiers in a cost export, equal in every import."""

from functools import lru_cache, partial
from json.encoder import encode_basestring_ascii
from uuid import NAMESPACE_URL, UUID, uuid5

from app.dataio.focus.categories import CORRECTION
from app.dataio.focus.charge_groups import ChargeGroupKey, InvoiceKey

_NAMESPACE = uuid5(NAMESPACE_URL, "urn:cloud-invoicing:focus")


def _derive(kind: str, *parts: object) -> UUID:
    # As a JSON list, which separates the parts: no two lists have the same text.
    texts = map(encode_basestring_ascii, (kind, *map(str, parts)))
    return uuid5(_NAMESPACE, f"[{', '.join(texts)}]")


_derive_frequent = lru_cache(maxsize=65_536)(_derive)
"""For what many lines have in common."""

customer_uuid = partial(_derive_frequent, "customer")
"""Returns the UUID of the customer of a billing account, by the account's key."""
seller_uuid = partial(_derive_frequent, "seller")
"""Returns the UUID of a provider as a customer that sells."""
service_provider_uuid = partial(_derive_frequent, "service_provider")
"""Returns the UUID of a provider as a service provider."""
category_uuid = partial(_derive_frequent, "category")
"""Returns the UUID of a service category."""
_derive_resource = lru_cache(maxsize=262_144)(_derive)
_print_time = lru_cache(maxsize=4096)(str)


def offering_uuid(key: ChargeGroupKey) -> UUID:
    """Return the UUID of the offering of a line."""
    return offering_uuid_of(key.provider, key.category, key.service)


def offering_uuid_of(provider: str, category: str, service: str) -> UUID:
    """Return the UUID of the offering of a provider's service in a category."""
    return _derive_frequent("offering", provider, category, service)


def project_uuid(account: str, sub_account: str) -> UUID:
    """Return the UUID of the project of a sub account."""
    return _derive_frequent("project", account, sub_account)


def resource_uuid(key: ChargeGroupKey) -> UUID:
    """Return the UUID of a resource. Each sub account and service has its own of the same id."""
    return _derive_resource(
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
    return _derive_frequent("invoice", *key)


def item_uuid(key: ChargeGroupKey) -> UUID:
    """Return the UUID of the item of a group of charges."""
    account, start, end, *texts, corrected_month = key
    parts = (account, _print_time(start), _print_time(end), *texts)
    if not corrected_month:
        return _derive("item", *parts)  # as in releases without lines for corrections
    return _derive("item", *parts, CORRECTION, corrected_month)


def difference_uuid(item: UUID, invoice: UUID) -> UUID:
    """Return the UUID of the difference of an item of a restated bill, on another invoice."""
    return _derive("difference", item, invoice)


def rounding_uuid(key: InvoiceKey) -> UUID:
    """Return the UUID of the item by which earlier releases rounded an invoice."""
    return _derive("rounding", *key)
