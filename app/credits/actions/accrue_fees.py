"""Accrue the fees that affiliates earn from issued invoices."""

from collections.abc import Collection, Sequence

from sqlalchemy.ext.asyncio import AsyncConnection

from app.billing.compensation import affiliate_fee
from app.billing.enums import CreditTransactionType
from app.billing.periods import Period
from app.credits.repository import affiliates, fees, ledger, records
from app.credits.repository.fees import Accrual
from app.credits.repository.ledger import CustomerCredits, Movement


async def lock_affiliates(
    connection: AsyncConnection, customer_ids: Collection[int]
) -> dict[int, int]:
    """Lock the affiliates of customers, and return the affiliate of each customer that has one.

    Until the transaction ends their links do not change, and none of them gets a credit elsewhere.
    The credits are locked before, the invoices after.
    """
    found = await fees.lock_links(connection, customer_ids)
    await affiliates.lock_customers(connection, found.values())
    return found


async def accrue_fees(connection: AsyncConnection, invoice_ids: Sequence[int]) -> None:
    """Add the fee of each invoice to the credit of its customer's affiliate, once.

    The fee is a share of the price after compensations, without tax. An affiliate without a credit
    gets one.
    """
    links = await fees.find_links(connection, invoice_ids)
    earned = [(link, affiliate_fee(link.total_price, link.fee_percent)) for link in links]
    added = await fees.add_accruals(
        connection, [Accrual(link.id, link.invoice_id, amount) for link, amount in earned if amount]
    )
    accrued = [(link, amount) for link, amount in earned if (link.id, link.invoice_id) in added]
    if not accrued:
        return
    credits = await _lock_credits(connection, {link.affiliate_id for link, _ in accrued})
    await ledger.move(
        connection,
        [
            Movement(
                credits[link.affiliate_id].credit,
                amount,
                CreditTransactionType.AFFILIATE_FEE,
                period=Period(link.year, link.month),
                invoice_uuid=link.uuid,
            )
            for link, amount in accrued
        ],
    )


async def _lock_credits(
    connection: AsyncConnection, affiliate_ids: Collection[int]
) -> dict[int, CustomerCredits]:
    """Lock the credits of affiliates, which get one if they have none.

    A credit may be deleted or move to another customer until it is locked.
    """
    while True:
        credits = await ledger.lock_credits_of_many(
            connection, affiliate_ids, with_affiliates=False
        )
        missing = sorted(set(affiliate_ids) - credits.keys())
        if not missing:
            return credits
        await affiliates.lock_customers(connection, missing)
        for affiliate_id in missing:
            await records.add_credit(connection, affiliate_id, {})
