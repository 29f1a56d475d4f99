"""The operations with which staff change one invoice, apart from `paid`."""

from typing import Final

from fastapi import APIRouter, Response
from pydantic import BaseModel

from app.api.operation_docs import NO_BODY, document_action, document_body
from app.api.request_model import RequestModel
from app.database.engine import Connection
from app.idempotency.api.submission import Submission
from app.invoices.actions.notify import NotifyInvoice, notify
from app.invoices.actions.set_field import SetField, set_field
from app.invoices.api.request_bodies import (
    BackendIdRequest,
    PaymentURLRequest,
    ReferenceNumberRequest,
)
from app.invoices.api.submission import Submitted
from app.invoices.repository.reads import FoundInvoice

router = APIRouter(prefix="/api/invoices", tags=["invoices"])


class NotificationScheduled(BaseModel):
    """The confirmation that notifications will be sent."""

    detail: str


_SCHEDULED: Final = NotificationScheduled(
    detail="Invoice notification sending has been successfully scheduled."
)


@router.post(
    "/{uuid}/send_notification/",
    operation_id="invoices_send_notification",
    summary="Send invoice notification",
    response_model=NotificationScheduled,
    **document_action("Notifications will be sent"),
)
async def send_notification(submission: Submitted) -> Response:
    """Schedule sending of a notification for the specified invoice. A body is ignored."""
    invoice, settings = submission.record, submission.request.app.state.settings

    async def schedule(connection: Connection) -> NotificationScheduled:
        await notify(connection, NotifyInvoice(invoice.id, invoice.customer_id), settings)
        return _SCHEDULED

    return await submission.act_without_body(schedule, conditional=False, notifies_worker=True)


async def _set_field(submission: Submission[FoundInvoice], model: type[RequestModel]) -> Response:
    """Set the fields of the body; a body without them changes nothing."""

    async def change(connection: Connection, body: RequestModel) -> None:
        for field, value in body.values().items():
            await set_field(connection, SetField(submission.record.id, field, value))

    return await submission.act(model, change)


@router.post(
    "/{uuid}/set_backend_id/",
    operation_id="invoices_set_backend_id",
    summary="Set backend ID",
    response_class=Response,
    **document_action(NO_BODY, document_body(BackendIdRequest), conditional=True),
)
async def set_backend_id(submission: Submitted) -> Response:
    """Set backend ID for invoice."""
    return await _set_field(submission, BackendIdRequest)


@router.post(
    "/{uuid}/set_payment_url/",
    operation_id="invoices_set_payment_url",
    summary="Set payment URL",
    response_class=Response,
    **document_action(NO_BODY, document_body(PaymentURLRequest), conditional=True),
)
async def set_payment_url(submission: Submitted) -> Response:
    """Set payment URL for invoice."""
    return await _set_field(submission, PaymentURLRequest)


@router.post(
    "/{uuid}/set_reference_number/",
    operation_id="invoices_set_reference_number",
    summary="Set reference number",
    response_class=Response,
    **document_action(NO_BODY, document_body(ReferenceNumberRequest), conditional=True),
)
async def set_reference_number(submission: Submitted) -> Response:
    """Set reference number for invoice."""
    return await _set_field(submission, ReferenceNumberRequest)
