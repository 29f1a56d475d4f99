"""The currency of the database: it follows the setting CURRENCY until there is an invoice.

Triggers round by the row that is kept here. Every transaction that adds invoices calls
`use_currency` first, and holds the row until it ends. So no invoice comes into a database whose
currency changes at the same moment.
"""

from typing import Final

from sqlalchemy import ARRAY, BigInteger, any_, exists, func, literal, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from app.audit.actor import Actor
from app.audit.writer import audited_transaction
from app.billing.currencies import Currency, get_currency
from app.billing.enums import InvoiceState
from app.database import timeouts
from app.database.engine import Database
from app.invoices.models import DatabaseCurrency, Invoice
from app.invoices.queries.stored_currency import WrongCurrency, stored_currency
from app.settings import AuditSettings

_ACTOR: Final = Actor("set_currency")
_has_invoices = select(exists(select(Invoice.id)))


async def settle_currency(database: Database, settings: AuditSettings) -> None:
    """Make the setting the database's currency, as a process does when it starts.

    Raises WrongCurrency where the database has invoices in another one.
    """
    ours = get_currency(settings.currency)
    async with database.reading() as connection:
        stored = await stored_currency(connection)
    stored.require(ours.code)
    if stored.code == ours.code:
        return
    async with audited_transaction(database, settings.audit_key, _ACTOR) as connection:
        await use_currency(connection, ours)


async def use_currency(connection: AsyncConnection, ours: Currency) -> None:
    """Make a currency the database's, and hold it until the caller's transaction ends.

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
    # A statement of its own, which sees what a transaction added for which the lock waited.
    has_invoices = (await connection.execute(_has_invoices)).scalar_one()
    if stored is not None and has_invoices:
        raise WrongCurrency(ours.code, stored)
    if ours.decimals > 2:
        await connection.execute(select(func.widen_amounts()))
    values = {"code": ours.code, "decimals": ours.decimals}
    await connection.execute(update(DatabaseCurrency).values(values))
    if has_invoices and decimals != ours.decimals:
        await _round_again(connection, ours)


async def _round_again(connection: AsyncConnection, currency: Currency) -> None:
    """Round what is not billed yet, which an earlier release rounded to two decimals.

    Prices of issued invoices stay as they were sent; what is to be paid of them is rounded.
    """
    await timeouts.disable_timeouts(connection)
    pending = Invoice.state == InvoiceState.PENDING
    as_imported = select(Invoice.id).where(pending, Invoice.imported_revision == Invoice.revision)
    unchanged = (await connection.execute(as_imported)).scalars().all()
    for statement in _ROUND_AGAIN:
        await connection.execute(text(statement), {"decimals": currency.decimals})
    await connection.execute(
        update(Invoice)
        .where(Invoice.id == any_(literal(unchanged, ARRAY(BigInteger))))
        .values(imported_revision=Invoice.revision)
    )


# The triggers make what is taken away.
_ROUND_AGAIN: Final = (
    "UPDATE invoice_items SET price = NULL FROM invoices"
    " WHERE invoices.id = invoice_id AND state = 'pending'"
    " AND price <> item_price(unit_price, quantity, :decimals)",
    "UPDATE invoices SET total_cost = NULL"
    " WHERE state IN ('pending', 'created') AND total_cost <> round(total_cost, :decimals)",
)
