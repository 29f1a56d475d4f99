"""The currency of the database: it follows the setting CURRENCY until there is an invoice.

Triggers round to the decimals of the currency in the table `currency`. A transaction that adds
invoices first calls `use_currency`, which locks that row. So no invoice is added while the currency
changes.
"""

from typing import Final

from sqlalchemy import exists, func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from app.audit.actor import Actor
from app.audit.writer import audited_transaction
from app.billing.currencies import Currency
from app.database import timeouts
from app.database.engine import Database
from app.invoices.models import DatabaseCurrency, Invoice
from app.invoices.queries.stored_currency import WrongCurrency, stored_currency
from app.invoices.repository.totals import round_open_amounts
from app.settings import AuditSettings

_ACTOR: Final = Actor("set_currency")
_has_invoices = select(exists(select(Invoice.id)))


async def settle_currency(database: Database, settings: AuditSettings) -> None:
    """Make the setting the database's currency, as a process does when it starts.

    Raises WrongCurrency where the database has invoices in another one.
    """
    ours = settings.currency
    async with database.reading() as connection:
        stored = await stored_currency(connection)
    stored.require(ours.code)
    if stored.code == ours.code:
        return
    async with audited_transaction(database, settings.audit_key, _ACTOR) as connection:
        await use_currency(connection, ours)


async def use_currency(connection: AsyncConnection, ours: Currency) -> None:
    """Make a currency the database's, and lock it until the caller's transaction ends.

    The transaction must come from `audited_transaction`. Raises WrongCurrency if the database has
    invoices in another currency.
    """
    same = select(DatabaseCurrency.code).where(DatabaseCurrency.code == ours.code)
    held = await connection.execute(same.with_for_update(read=True))
    if held.scalar_one_or_none() is not None:
        return
    row = select(DatabaseCurrency.code, DatabaseCurrency.decimals).with_for_update()
    stored, decimals = (await connection.execute(row)).one()
    if stored == ours.code:
        return
    # A separate statement, which sees the invoices of a transaction that the lock waited for.
    has_invoices = (await connection.execute(_has_invoices)).scalar_one()
    if stored is not None and has_invoices:
        raise WrongCurrency(ours.code, stored)
    if ours.decimals > 2:
        await connection.execute(select(func.widen_amounts()))
    values = {"code": ours.code, "decimals": ours.decimals}
    await connection.execute(update(DatabaseCurrency).values(values))
    if has_invoices and decimals != ours.decimals:
        # An earlier release rounded to two decimals. Prices of issued invoices stay as they were
        # sent; their unpaid totals are rounded.
        await timeouts.disable_timeouts(connection)
        await round_open_amounts(connection, ours.decimals)
