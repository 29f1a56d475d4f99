"""Who is written to about an invoice."""

from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from app import clock
from app.billing.enums import CustomerRoleName
from app.customers.models import Customer
from app.identity.models import CustomerRole, User
from app.mailbox import InvalidAddress, Mailbox, split_addresses


@dataclass(frozen=True, slots=True)
class Recipient:
    """One address, as it was spelled, and why it cannot be written to; empty where it can be."""

    address: str
    problem: str = ""


async def recipients(connection: AsyncConnection, customer_id: int) -> list[Recipient]:
    """Return the addresses to notify: the customer's owners', else the customer's own as well.

    An owner counts while both the role and the user are active and the role has not expired. The
    customer's own addresses come in where none of the owners' can be written to. Several addresses
    may stand in one text (`split_addresses`). Those that differ only in case are one, in the
    spelling that was there first. The list is empty where nobody has an address.
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
    texts = list((await connection.execute(owners)).scalars())
    found = distinct_recipients(texts)
    if any(not recipient.problem for recipient in found):
        return found
    own = select(Customer.email).where(Customer.id == customer_id)
    texts += (await connection.execute(own)).scalars()
    return distinct_recipients(texts)


def distinct_recipients(texts: Iterable[str]) -> list[Recipient]:
    """Return each address that stands in the texts once, in their order."""
    found: dict[str, Recipient] = {}
    for text in texts:
        for address in split_addresses(text):
            try:
                key, problem = Mailbox.parse(address).address, ""
            except InvalidAddress as error:
                key, problem = address, str(error)
            found.setdefault(key.lower(), Recipient(address, problem))
    return list(found.values())
