"""The operations with which staff change one invoice."""

from collections.abc import Callable
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Request, Response
from pydantic import BaseModel

from app.api import body_validators
from app.api.dependencies import CurrentDatabase
from app.api.errors import InvalidFields
from app.api.operation_docs import NO_BODY, document_action, document_body
from app.api.query_parameters import QueryParser
from app.api.rendered_response import RenderedResponse
from app.api.request_body import RequestBody, parse_body
from app.database.engine import Connection
from app.idempotency.api.keys import RequestKey
from app.identity.api.authentication import StaffOnly
from app.invoices.actions.notify import NotifyInvoice, notify
from app.invoices.actions.set_field import SetField, set_field
from app.invoices.api.filters import NamedInvoice, filter_set
from app.invoices.api.paid import pay_invoice
from app.invoices.api.request_bodies import (
    BackendIdRequest,
    PaidRequest,
    PaidRequestForm,
    PaidRequestMultipart,
    PaymentURLRequest,
    ReferenceNumberRequest,
)
from app.invoices.api.router import InvoiceUuid
from app.invoices.api.submission import Submission
from app.invoices.repository.reads import FoundInvoice, find_visible_invoice
from app.invoices.repository.writes import EDITABLE_TEXTS
from app.invoices.schemas import Invoice

router = APIRouter(prefix="/api/invoices", tags=["invoices"])


async def _found(
    uuid: InvoiceUuid,
    caller: StaffOnly,
    parameters: Annotated[NamedInvoice, Depends(QueryParser(NamedInvoice, hidden=NamedInvoice))],
    database: CurrentDatabase,
) -> FoundInvoice:
    # A connection for this alone: an upload may follow.
    async with database.reading() as connection:
        filters = filter_set(parameters)
        return await find_visible_invoice(connection, caller=caller, uuid=uuid, filters=filters)


async def _submission(
    caller: StaffOnly,
    key: RequestKey,
    invoice: Annotated[FoundInvoice, Depends(_found)],
    request: Request,
) -> Submission:
    return Submission(request, caller, invoice, key)


Submitted = Annotated[Submission, Depends(_submission)]


class NotificationScheduled(BaseModel):
    """The confirmation that notifications will be sent."""

    detail: str


_SCHEDULED: Final = RenderedResponse(
    NotificationScheduled(detail="Invoice notification sending has been successfully scheduled.")
    .model_dump_json()
    .encode()
)


@router.post(
    "/{uuid}/paid/",
    operation_id="invoices_paid",
    summary="Mark invoice as paid",
    response_model=Invoice,
    **document_action(
        "The invoice, now paid",
        document_body(json=PaidRequest, form=PaidRequestForm, multipart=PaidRequestMultipart),
        conditional=True,
    ),
)
async def paid(submission: Submitted) -> Response:
    """Mark invoice as paid and optionally create payment record with proof of payment."""
    return await pay_invoice(submission)


@router.post(
    "/{uuid}/send_notification/",
    operation_id="invoices_send_notification",
    summary="Send invoice notification",
    response_model=NotificationScheduled,
    **document_action("Notifications will be sent"),
)
async def send_notification(submission: Submitted, request: Request) -> Response:
    """Schedule sending of a notification for the specified invoice. A body is ignored."""
    replay = await submission.find_replay(RequestBody({}))
    if replay is not None:
        return replay
    invoice = submission.invoice

    async def change(connection: Connection) -> RenderedResponse:
        await notify(
            connection, NotifyInvoice(invoice.id, invoice.customer_id), submission.settings
        )
        return _SCHEDULED

    response = await submission.run_once(change)
    await request.app.state.notifier.notify_worker()
    return response


def _body(model: type[BaseModel]) -> dict[str, Any]:
    return document_body(json=model, form=model, multipart=model)


async def _set_field(
    submission: Submission, field: str, validator: Callable[[Any, int], str]
) -> Response:
    """Set the field to its value in the body; a body without the field changes nothing."""
    body = await parse_body(submission.request)
    replay = await submission.find_replay(body)
    if replay is not None:
        return replay
    command = None
    if field in body.fields:
        try:
            value = validator(body.fields[field], EDITABLE_TEXTS[field])
        except body_validators.FieldError as error:
            raise InvalidFields({field: error.messages}) from None
        command = SetField(submission.invoice.id, field, value)

    async def change(connection: Connection) -> RenderedResponse:
        await submission.require_match(connection)
        if command is not None:
            await set_field(connection, command)
        return RenderedResponse()

    return await submission.run_once(change)


@router.post(
    "/{uuid}/set_backend_id/",
    operation_id="invoices_set_backend_id",
    summary="Set backend ID",
    response_class=Response,
    **document_action(NO_BODY, _body(BackendIdRequest), conditional=True),
)
async def set_backend_id(submission: Submitted) -> Response:
    """Set backend ID for invoice."""
    return await _set_field(submission, "backend_id", body_validators.validate_text)


@router.post(
    "/{uuid}/set_payment_url/",
    operation_id="invoices_set_payment_url",
    summary="Set payment URL",
    response_class=Response,
    **document_action(NO_BODY, _body(PaymentURLRequest), conditional=True),
)
async def set_payment_url(submission: Submitted) -> Response:
    """Set payment URL for invoice."""
    return await _set_field(submission, "payment_url", body_validators.validate_url)


@router.post(
    "/{uuid}/set_reference_number/",
    operation_id="invoices_set_reference_number",
    summary="Set reference number",
    response_class=Response,
    **document_action(NO_BODY, _body(ReferenceNumberRequest), conditional=True),
)
async def set_reference_number(submission: Submitted) -> Response:
    """Set reference number for invoice."""
    return await _set_field(submission, "reference_number", body_validators.validate_text)
