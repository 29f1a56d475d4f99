"""`send_notification`: an invoice is mailed to whom it concerns, by the worker."""

from collections.abc import Awaitable, Callable

from app.billing.vocabulary import InvoiceState
from app.database.engine import Database
from app.http.errors import BrokenRule
from app.invoices import changes
from app.notifications.schedule import schedule
from app.settings import Settings


async def notify(
    database: Database, settings: Settings, invoice_id: int, nudge: Callable[[], Awaitable[None]]
) -> None:
    """Record the deliveries of a created invoice, then nudge the worker.

    Raises `BrokenRule` in any other state.
    """
    async with database.transaction() as connection:
        # Locked, so that the invoice is not paid or canceled between the check and the record.
        if await changes.locked_state_of(connection, invoice_id) is not InvoiceState.CREATED:
            raise BrokenRule("Notification only for the created invoice can be sent.")
        await schedule(connection, invoice_id, settings)
    await nudge()
