"""Cancel an invoice. Only operators do so; the documented API has no operation for it."""

from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncConnection

from app.billing.enums import InvoiceState
from app.credit_notes.actions.credit import CreditInvoice, credit
from app.credit_notes.errors import NothingLeft
from app.invoices.actions.apply_compensations import give_back_credits
from app.invoices.errors import MissingReason, WrongInvoiceState
from app.invoices.repository import writes
from app.invoices.states import CANCEL
from app.settings import Settings


@dataclass(frozen=True, slots=True)
class CancelInvoice:
    """Cancel a pending or created invoice."""

    invoice_id: int
    reason: str
    """Stored with the invoice."""


async def cancel(connection: AsyncConnection, command: CancelInvoice, settings: Settings) -> None:
    """Cancel the invoice; raises `MissingReason` and `WrongInvoiceState`.

    A created invoice gets a credit note of all that is left of it; one without items gets none. The
    amounts that the invoice took from credits are given back; its items remain.
    """
    reason = command.reason.strip()
    if not reason:
        raise MissingReason
    await give_back_credits(connection, command.invoice_id, CANCEL.valid)
    if await writes.lock_state(connection, command.invoice_id) is InvoiceState.CREATED:
        try:
            await credit(connection, CreditInvoice(command.invoice_id, reason), settings)
        except NothingLeft:
            pass
        else:
            return
    if not await writes.mark_canceled(connection, command.invoice_id, reason):
        raise WrongInvoiceState(CANCEL.valid)
