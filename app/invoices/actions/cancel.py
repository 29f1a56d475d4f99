"""Cancel an invoice. Only operators do so; the documented API has no operation for it."""

from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncConnection

from app.invoices.actions.apply_compensations import give_back_credits
from app.invoices.errors import MissingReason, WrongInvoiceState
from app.invoices.repository import writes
from app.invoices.states import CANCEL


@dataclass(frozen=True, slots=True)
class CancelInvoice:
    """Cancel a pending or created invoice."""

    invoice_id: int
    reason: str
    """Stored with the invoice."""


async def cancel(connection: AsyncConnection, command: CancelInvoice) -> None:
    """Cancel the invoice; raises `MissingReason` and `WrongInvoiceState`.

    The amounts that it took from credits are given back; its items remain.
    """
    reason = command.reason.strip()
    if not reason:
        raise MissingReason
    await give_back_credits(connection, command.invoice_id, CANCEL.valid)
    if not await writes.mark_canceled(connection, command.invoice_id, reason):
        raise WrongInvoiceState(CANCEL.valid)
