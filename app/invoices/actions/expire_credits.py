"""Zero the balances of credits that have ended."""

from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncConnection

from app.credits.actions import balances
from app.credits.repository import ledger
from app.invoices.repository import compensations


@dataclass(frozen=True, slots=True)
class ExpireCredits:
    """Zero the balances of those credits of customers that have ended."""

    customer_ids: Collection[int]


@dataclass(frozen=True, slots=True)
class ExpiredCredits:
    """The credits whose balances became zero."""

    count: int


async def expire_credits(connection: AsyncConnection, command: ExpireCredits) -> ExpiredCredits:
    """Zero the balances of credits whose end date is reached, and of removed projects.

    A credit remains while an invoice that it pays is not issued: one of a month before its end, or
    one with items of the project.

    The number of statements depends on the projects of a customer that end at once, and not on the
    number of customers.
    """
    credits = await ledger.lock_credits_of_many(
        connection, command.customer_ids, with_affiliates=False
    )
    if not credits:
        return ExpiredCredits(0)
    ended = await compensations.find_ended_credits(connection, credits)
    return ExpiredCredits(await balances.expire(connection, credits.values(), ended))
