"""Who is written to about an invoice."""

from collections.abc import Sequence

from sqlalchemy import or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from app import clock
from app.billing.vocabulary import CustomerRoleName
from app.customers.tables import Customer
from app.identity.tables import CustomerRole, User


async def recipients(connection: AsyncConnection, customer_id: int) -> list[str]:
    """Return the addresses to notify: the customer's owners, else the customer itself.

    An owner counts while both the role and the user are active and the role has not expired.
    Addresses that differ only in case are one, in the spelling that was there first. The list is
    empty where nobody has an address.
    """
    owners = (
        select(User.email)
        .join(CustomerRole, CustomerRole.user_id == User.id)
        .where(
            CustomerRole.customer_id == customer_id,
            CustomerRole.role == CustomerRoleName.OWNER,
            CustomerRole.is_active,
            or_(CustomerRole.expires_at.is_(None), CustomerRole.expires_at > clock.now()),
            User.is_active,
        )
        .order_by(User.id)
    )
    found = _distinct((await connection.execute(owners)).scalars().all())
    if found:
        return found
    own = select(Customer.email).where(Customer.id == customer_id)
    return _distinct((await connection.execute(own)).scalars().all())


def _distinct(addresses: Sequence[str]) -> list[str]:
    spelling: dict[str, str] = {}
    for address in addresses:
        trimmed = address.strip()
        if trimmed:
            spelling.setdefault(trimmed.lower(), trimmed)
    return list(spelling.values())
