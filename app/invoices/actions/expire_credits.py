"""Zero the balances of credits that have ended."""

from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncConnection

from app.credits.actions import balances
from app.credits.repository import ledger
from app.invoices.repository import compensations


@dataclass(frozen=True, slots=True)
class ExpireCredits:
    """Zero the balances of a customer's credits that have ended."""

    customer_id: int


@dataclass(frozen=True, slots=True)
class ExpiredCredits:
    """The credits whose balances became zero."""

    count: int


async def expire_credits(connection: AsyncConnection, command: ExpireCredits) -> ExpiredCredits:
    """Zero the balances of credits whose end date is reached, and of removed projects.

    A credit remains while an invoice that it pays is not issued: one of a month before its end, or
    one with items of the project.
    """
    credits = await ledger.lock_credits(connection, command.customer_id)
    if credits is None:
        return ExpiredCredits(0)
    ended = await compensations.find_ended_credits(connection, command.customer_id)
    return ExpiredCredits(await balances.expire(connection, credits, ended))
