"""Select the addresses that receive the notifications of a customer's invoices."""

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
    """An address as it is stored, and the reason why it is invalid; empty for a valid one."""

    address: str
    problem: str = ""


async def find_recipients(connection: AsyncConnection, customer_id: int) -> list[Recipient]:
    """Return the addresses to notify: the owners' and, if none of them is valid, the customer's.

    An owner counts if the role and the user are active and the role has not expired. A stored text
    may contain several addresses (`split_addresses`). Addresses that differ only in case are one,
    in the first spelling. The list is empty without any address.
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
    recipients = distinct_recipients(texts)
    if any(not recipient.problem for recipient in recipients):
        return recipients
    customer = select(Customer.email).where(Customer.id == customer_id)
    texts += (await connection.execute(customer)).scalars()
    return distinct_recipients(texts)


def distinct_recipients(texts: Iterable[str]) -> list[Recipient]:
    """Return each address in the texts once, in order."""
    recipients: dict[str, Recipient] = {}
    for text in texts:
        for address in split_addresses(text):
            try:
                key, problem = Mailbox.parse(address).address, ""
            except InvalidAddress as error:
                key, problem = address, str(error)
            recipients.setdefault(key.lower(), Recipient(address, problem))
    return list(recipients.values())
