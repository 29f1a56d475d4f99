"""The operations with which staff change one invoice."""

from collections.abc import Callable
from functools import partial
from typing import Any, Final

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel

from app.api import body_validators
from app.api.errors import InvalidFields
from app.api.operation_docs import NO_BODY, document_action, document_body
from app.api.rendered_response import RenderedResponse
from app.api.request_body import RequestBody, parse_body
from app.invoices.actions.notify import NotifyInvoice, notify
from app.invoices.actions.set_field import SetField, set_field
from app.invoices.api.request_bodies import (
    BackendIdRequest,
    PaymentURLRequest,
    ReferenceNumberRequest,
)
from app.invoices.api.submission import Submission, Submitted
from app.invoices.repository.writes import EDITABLE_TEXTS

router = APIRouter(prefix="/api/invoices", tags=["invoices"])


class NotificationScheduled(BaseModel):
    """The confirmation that notifications will be sent."""

    detail: str


_SCHEDULED: Final = RenderedResponse(
    NotificationScheduled(detail="Invoice notification sending has been successfully scheduled.")
    .model_dump_json()
    .encode()
)


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
    command = NotifyInvoice(submission.invoice.id, submission.invoice.customer_id)
    change = partial(notify, command=command, settings=submission.settings)
    response = await submission.run_once(change, _SCHEDULED, conditional=False)
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
    change = None
    if field in body.fields:
        try:
            value = validator(body.fields[field], EDITABLE_TEXTS[field])
        except body_validators.FieldError as error:
            raise InvalidFields({field: error.messages}) from None
        change = partial(set_field, command=SetField(submission.invoice.id, field, value))
    return await submission.run_once(change, RenderedResponse())


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
