"""Create, change, enable and delete payment profiles.

At most one profile of an organization is active. Making one active makes the others inactive, in
the same transaction. Changes of the profiles of one organization take turns: each locks the
organization first. A move locks both organizations, in the order of their keys.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from app.domain_errors import UnknownReference
from app.payments import repository
from app.payments.errors import OrganizationFixed, ProfileInUse, ProfileNotFound
from app.payments.repository import LockedProfile


@dataclass(frozen=True, slots=True)
class CreateProfile:
    """Create a payment profile; `values` has its columns."""

    organization: UUID
    values: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class UpdateProfile:
    """Change the columns `values` of a payment profile, and perhaps its organization."""

    uuid: UUID
    values: Mapping[str, Any]
    organization: UUID | None = None


async def create_profile(connection: AsyncConnection, command: CreateProfile) -> UUID:
    """Create the profile and return its UUID; raises `UnknownReference`."""
    customer_id = await repository.lock_organization(connection, command.organization)
    if customer_id is None:
        raise UnknownReference("organization")
    if command.values["is_active"]:
        await repository.deactivate_profiles(connection, customer_id)
    return await repository.add_profile(connection, customer_id, command.values)


async def update_profile(connection: AsyncConnection, command: UpdateProfile) -> None:
    """Change the profile; raises `ProfileNotFound`, `UnknownReference` and `OrganizationFixed`."""
    values = dict(command.values)
    if command.organization is not None:
        values["customer_id"] = await lock_organizations(connection, command)
    profile = await lock_profile(connection, command.uuid)
    customer_id = values.get("customer_id", profile.customer_id)
    if customer_id is None:
        raise UnknownReference("organization")
    moves = customer_id != profile.customer_id
    if moves and await repository.has_payments(connection, profile.id, linked=True):
        raise OrganizationFixed("organization")
    if values.get("is_active", profile.is_active) and (moves or not profile.is_active):
        await repository.deactivate_profiles(connection, customer_id, except_for=profile.id)
    await repository.update_profile(connection, profile.id, values)


async def lock_organizations(connection: AsyncConnection, command: UpdateProfile) -> int | None:
    """Lock both organizations of a move, if it is one; return the key of the new one, or None."""
    if command.organization is None:
        return None
    return await repository.lock_organizations(connection, command.uuid, command.organization)


async def enable_profile(connection: AsyncConnection, uuid: UUID) -> None:
    """Make the profile its organization's active one; raises `ProfileNotFound`."""
    await update_profile(connection, UpdateProfile(uuid, {"is_active": True}))


async def delete_profile(connection: AsyncConnection, uuid: UUID) -> None:
    """Delete the profile; raises `ProfileNotFound` and `ProfileInUse`."""
    profile = await lock_profile(connection, uuid, for_deletion=True)
    if await repository.has_payments(connection, profile.id):
        raise ProfileInUse
    await repository.delete_profile(connection, profile.id)


async def lock_profile(
    connection: AsyncConnection, uuid: UUID, *, for_deletion: bool = False
) -> LockedProfile:
    """Lock the profile and its organization; raises `ProfileNotFound`."""
    profile = await repository.lock_profile(connection, uuid, for_deletion=for_deletion)
    if profile is None:
        raise ProfileNotFound
    return profile
