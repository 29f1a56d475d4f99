"""An invoice is withdrawn by an operator; the documented API has no operation for it."""

from typing import Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from app.billing.enums import InvoiceState
from app.invoices.repository import writes

CANCELABLE: Final = (InvoiceState.PENDING, InvoiceState.CREATED)


class CannotCancel(Exception):
    """Why the invoice cannot be canceled, in words for the operator."""


async def cancel(connection: AsyncConnection, uuid: UUID, reason: str) -> int:
    """Cancel a pending or created invoice in the caller's transaction; return its number.

    The reason is kept with the invoice. Raises `CannotCancel`.
    """
    reason = reason.strip()
    if not reason:
        raise CannotCancel("A reason is needed.")
    number = await writes.cancel(connection, uuid, CANCELABLE, reason)
    if number is not None:
        return number
    invoice = await writes.number_and_state(connection, uuid)
    if invoice is None:
        raise CannotCancel(f"There is no invoice {uuid}.")
    raise CannotCancel(
        f"Invoice {invoice.number} is {invoice.state};"
        f" only one that is {' or '.join(CANCELABLE)} can be canceled."
    )
