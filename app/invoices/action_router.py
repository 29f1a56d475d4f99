"""Changing invoices: the operations of staff on one of them."""

from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Request, Response
from pydantic import BaseModel

from app.http.answers import Answers
from app.http.dependencies import CurrentDatabase, CurrentSettings
from app.http.openapi import error_responses, request_body
from app.http.parameters import FromQuery
from app.identity.authentication import StaffOnly
from app.invoices.annotate import annotate
from app.invoices.filters import NamedInvoice
from app.invoices.notify import notify
from app.invoices.pay import pay
from app.invoices.reads import ChangedInvoice
from app.invoices.repository import FoundInvoice, InvoiceRepository
from app.invoices.request_bodies import (
    BackendIdRequest,
    PaidRequest,
    PaidRequestForm,
    PaidRequestMultipart,
    PaymentURLRequest,
    ReferenceNumberRequest,
)
from app.invoices.router import InvoiceUuid
from app.invoices.schemas import Invoice
from app.payments.proofs import ProofStore

router = APIRouter(prefix="/api/invoices", tags=["invoices"])

_Documentation = dict[int | str, dict[str, Any]]
_NO_BODY: Final[_Documentation] = {200: {"description": "No response body"}}


async def _found(
    uuid: InvoiceUuid,
    caller: StaffOnly,
    parameters: Annotated[NamedInvoice, Depends(FromQuery(NamedInvoice, hidden=NamedInvoice))],
    database: CurrentDatabase,
) -> FoundInvoice:
    # A connection for this alone: an upload may follow.
    async with database.reading() as connection:
        return await InvoiceRepository(connection, caller).find(uuid, parameters)


async def _proofs(settings: CurrentSettings) -> ProofStore:
    return ProofStore(settings.proof_dir, settings.proof_max_bytes)


Found = Annotated[FoundInvoice, Depends(_found)]
Proofs = Annotated[ProofStore, Depends(_proofs)]


class NotificationScheduled(BaseModel):
    """Tells that notifications will be sent."""

    detail: str


@router.post(
    "/{uuid}/paid/",
    operation_id="invoices_paid",
    summary="Mark invoice as paid",
    response_model=Invoice,
    responses=error_responses(400, 404, 409, 413, 415),
    openapi_extra=request_body(
        json=PaidRequest, form=PaidRequestForm, multipart=PaidRequestMultipart
    ),
)
async def paid(
    invoice: Found,
    request: Request,
    database: CurrentDatabase,
    proofs: Proofs,
) -> Response:
    """Mark invoice as paid and optionally create payment record with proof of payment."""
    await pay(database, proofs, invoice, request)
    answers = Answers(request)
    return await answers.after_change(ChangedInvoice(answers, invoice.id))


@router.post(
    "/{uuid}/send_notification/",
    operation_id="invoices_send_notification",
    summary="Send invoice notification",
    responses=error_responses(400, 404),
)
async def send_notification(
    invoice: Found, request: Request, database: CurrentDatabase, settings: CurrentSettings
) -> NotificationScheduled:
    """Schedule sending of a notification for the specified invoice. A body is ignored."""
    await notify(database, settings, invoice.id, request.app.state.nudge)
    return NotificationScheduled(
        detail="Invoice notification sending has been successfully scheduled."
    )


def _body(model: type[BaseModel]) -> dict[str, Any]:
    return request_body(json=model, form=model, multipart=model)


@router.post(
    "/{uuid}/set_backend_id/",
    operation_id="invoices_set_backend_id",
    summary="Set backend ID",
    response_class=Response,
    responses=_NO_BODY | error_responses(400, 404, 413, 415),
    openapi_extra=_body(BackendIdRequest),
)
async def set_backend_id(invoice: Found, request: Request, database: CurrentDatabase) -> Response:
    """Set backend ID for invoice."""
    await annotate(database, invoice.id, "backend_id", request)
    return Response()


@router.post(
    "/{uuid}/set_payment_url/",
    operation_id="invoices_set_payment_url",
    summary="Set payment URL",
    response_class=Response,
    responses=_NO_BODY | error_responses(400, 404, 413, 415),
    openapi_extra=_body(PaymentURLRequest),
)
async def set_payment_url(invoice: Found, request: Request, database: CurrentDatabase) -> Response:
    """Set payment URL for invoice."""
    await annotate(database, invoice.id, "payment_url", request)
    return Response()


@router.post(
    "/{uuid}/set_reference_number/",
    operation_id="invoices_set_reference_number",
    summary="Set reference number",
    response_class=Response,
    responses=_NO_BODY | error_responses(400, 404, 413, 415),
    openapi_extra=_body(ReferenceNumberRequest),
)
async def set_reference_number(
    invoice: Found, request: Request, database: CurrentDatabase
) -> Response:
    """Set reference number for invoice."""
    await annotate(database, invoice.id, "reference_number", request)
    return Response()
