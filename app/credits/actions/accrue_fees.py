"""Accrue the fees that affiliates earn from an issued invoice."""

from sqlalchemy.ext.asyncio import AsyncConnection

from app.billing.compensation import affiliate_fee
from app.billing.enums import CreditTransactionType
from app.billing.periods import Period
from app.credits.repository import affiliates, fees, ledger, records
from app.credits.repository.ledger import CustomerCredits, Movement


async def accrue_fees(connection: AsyncConnection, invoice_id: int) -> None:
    """Add the fee of an invoice to the credit of each of its customer's affiliates, once.

    The fee is a share of the price after compensations, without tax. An affiliate without a credit
    gets one.
    """
    for link in await fees.find_links(connection, invoice_id):
        amount = affiliate_fee(link.total_price, link.fee_percent)
        if not amount or not await fees.add_accrual(connection, link.id, invoice_id, amount):
            continue
        credits = await _lock_credits(connection, link.affiliate_id)
        movement = Movement(
            credits.credit,
            amount,
            CreditTransactionType.AFFILIATE_FEE,
            period=Period(link.year, link.month),
            invoice_uuid=link.uuid,
        )
        await ledger.move(connection, credits, [movement])


async def _lock_credits(connection: AsyncConnection, affiliate_id: int) -> CustomerCredits:
    """Lock the credits of an affiliate, which gets one if it has none.

    The credit may be deleted or move to another customer until it is locked.
    """
    while True:
        credits = await ledger.lock_credits(connection, affiliate_id, with_affiliates=False)
        if credits is not None:
            return credits
        await affiliates.lock_customer(connection, affiliate_id)
        await records.add_credit(connection, affiliate_id, {})
