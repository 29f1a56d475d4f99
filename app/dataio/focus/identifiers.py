"""UUIDs that are derived from the identifiers in a cost export, equal in every import."""

from collections.abc import Callable
from functools import lru_cache, partial
from hashlib import sha1
from json.encoder import encode_basestring_ascii
from uuid import NAMESPACE_URL, UUID, uuid5

from asyncpg.pgproto.pgproto import (  # type: ignore[import-untyped]  # it has no types
    UUID as DriverUUID,  # noqa: N811 - a name of its own beside the standard library's
)

from app.dataio.focus.categories import CORRECTION
from app.dataio.focus.charge_groups import ChargeGroupKey, InvoiceKey

_NAMESPACE = uuid5(NAMESPACE_URL, "urn:cloud-invoicing:focus")
_NAMESPACE_DIGEST = sha1(_NAMESPACE.bytes, usedforsecurity=False)
_make_uuid: Callable[[bytes], UUID] = DriverUUID
"""The driver's subclass is made and copied to PostgreSQL several times as fast."""


def _derive(kind: str, *parts: object) -> UUID:
    # As a JSON list, which separates the parts: no two lists have the same text.
    texts = map(encode_basestring_ascii, (kind, *map(str, parts)))
    digest = _NAMESPACE_DIGEST.copy()
    digest.update(f"[{', '.join(texts)}]".encode())
    value = bytearray(digest.digest()[:16])
    value[6] = value[6] & 0x0F | 0x50  # version 5
    value[8] = value[8] & 0x3F | 0x80  # the variant of RFC 9562
    return _make_uuid(bytes(value))


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
