"""Create, change and delete links of customers to affiliates, as staff do."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from app.credits.errors import AffiliateHasEarned, CreditNotFound
from app.credits.repository import affiliates, records
from app.domain_errors import InvalidField, UnknownReference

_NON_FIELD: Final = "non_field_errors"


@dataclass(frozen=True, slots=True)
class CreateAffiliate:
    """Link a customer to an affiliate."""

    values: Mapping[str, Any]
    """By the fields of the request; `customer` and `affiliate` are UUIDs."""


@dataclass(frozen=True, slots=True)
class UpdateAffiliate:
    """Change fields of a link."""

    uuid: UUID
    values: Mapping[str, Any]
    """As in `CreateAffiliate`."""


@dataclass(frozen=True, slots=True)
class DeleteAffiliate:
    """Delete a link."""

    uuid: UUID


async def create_affiliate(connection: AsyncConnection, command: CreateAffiliate) -> UUID:
    """Create the link and return its UUID.

    Raises `UnknownReference`, and `InvalidField` if a rule forbids a value.
    """
    values = {"is_active": True, "start_date": None, "end_date": None, **command.values}
    columns = await _resolve(connection, values)
    await _check(connection, columns, None)
    return await affiliates.add_affiliate(connection, columns)


async def update_affiliate(connection: AsyncConnection, command: UpdateAffiliate) -> None:
    """Change the link; its organizations remain once it has earned.

    Raises `CreditNotFound`, `UnknownReference`, `InvalidField` and `AffiliateHasEarned`.
    """
    stored = await affiliates.lock_affiliate(connection, command.uuid)
    if stored is None:
        raise CreditNotFound("CustomerAffiliate")
    columns = dict(stored._mapping) | await _resolve(connection, command.values)
    link_id = columns.pop("id")
    # Changes of a customer's links take turns.
    await affiliates.lock_customer(connection, columns["customer_id"])
    await _check(connection, columns, link_id)
    parties = (columns["customer_id"], columns["affiliate_id"])
    if parties != (stored.customer_id, stored.affiliate_id) and await affiliates.has_earned(
        connection, link_id
    ):
        raise AffiliateHasEarned
    await affiliates.set_affiliate(connection, link_id, columns)


async def delete_affiliate(connection: AsyncConnection, command: DeleteAffiliate) -> None:
    """Delete a link that earned nothing; raises `CreditNotFound` and `AffiliateHasEarned`."""
    stored = await affiliates.lock_affiliate(connection, command.uuid)
    if stored is None:
        raise CreditNotFound("CustomerAffiliate")
    if not await affiliates.delete_affiliate(connection, stored.id):
        raise AffiliateHasEarned


async def _resolve(connection: AsyncConnection, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return columns with the ids of the customers, which are locked."""
    columns = dict(values)
    # In one order for all, so that no two requests wait for each other.
    for field in sorted({"customer", "affiliate"} & columns.keys(), key=columns.__getitem__):
        customer_id = await records.lock_customer(connection, columns.pop(field))
        if customer_id is None:
            raise UnknownReference(field)
        columns[f"{field}_id"] = customer_id
    return columns


async def _check(
    connection: AsyncConnection, columns: Mapping[str, Any], link_id: int | None
) -> None:
    if columns["customer_id"] == columns["affiliate_id"]:
        raise InvalidField("affiliate", "An organization cannot be its own affiliate.")
    start, end = columns["start_date"], columns["end_date"]
    if start is not None and end is not None and end <= start:
        raise InvalidField("end_date", "The end date must be after the start date.")
    for other in await affiliates.find_others(connection, columns["customer_id"], link_id):
        if other.affiliate_id == columns["affiliate_id"]:
            raise InvalidField(_NON_FIELD, "The fields customer, affiliate must make a unique set.")
        if other.is_active and columns["is_active"]:
            raise InvalidField(_NON_FIELD, "The customer has another active affiliate.")
