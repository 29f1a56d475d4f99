"""`send_notification`: an invoice is mailed to whom it concerns, by the worker."""

from collections.abc import Awaitable, Callable

from fastapi import Response
from sqlalchemy.ext.asyncio import AsyncConnection

from app.api.rendered_response import WrittenAnswer
from app.api.request_body import Body
from app.billing.enums import InvoiceState
from app.deliveries.schedule import schedule_deliveries
from app.invoices.api.submission import Submission
from app.invoices.errors import NotificationNotAllowed
from app.invoices.repository import writes


async def notify(
    submission: Submission, answer: WrittenAnswer, notify_worker: Callable[[], Awaitable[None]]
) -> Response:
    """Record the deliveries of a created invoice, then notify the worker; a body is ignored.

    Raises `NotificationNotAllowed` in any other state, and what `Submission` raises.
    """
    repeated = await submission.repeated(Body({}))
    if repeated is not None:
        return repeated
    invoice_id = submission.invoice.id

    async def change(connection: AsyncConnection) -> WrittenAnswer:
        # Locked, so that the invoice is not paid or canceled between the check and the record.
        if await writes.locked_state_of(connection, invoice_id) is not InvoiceState.CREATED:
            raise NotificationNotAllowed
        await schedule_deliveries(
            connection,
            submission.settings,
            invoice_id=invoice_id,
            customer_id=submission.invoice.customer_id,
        )
        return answer

    response = await submission.once(change)
    await notify_worker()
    return response
