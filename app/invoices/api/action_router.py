"""Changing invoices: the operations of staff on one of them."""

from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Request, Response
from pydantic import BaseModel

from app.api.dependencies import CurrentDatabase, CurrentSettings
from app.api.operation_docs import NO_BODY, document_action, document_body
from app.api.query_parameters import QueryParser
from app.api.rendered_response import WrittenAnswer
from app.idempotency.api.keys import RequestKey
from app.identity.api.authentication import StaffOnly
from app.invoices.actions.notify import notify
from app.invoices.actions.pay import pay
from app.invoices.actions.set_fields import annotate
from app.invoices.api.filters import NamedInvoice
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
from app.invoices.repository.reads import FoundInvoice, InvoiceRepository
from app.invoices.schemas import Invoice
from app.payments.proofs import ProofStore

router = APIRouter(prefix="/api/invoices", tags=["invoices"])


async def _found(
    uuid: InvoiceUuid,
    caller: StaffOnly,
    parameters: Annotated[NamedInvoice, Depends(QueryParser(NamedInvoice, hidden=NamedInvoice))],
    database: CurrentDatabase,
) -> FoundInvoice:
    # A connection for this alone: an upload may follow.
    async with database.reading() as connection:
        return await InvoiceRepository(connection, caller).find(uuid, parameters)


async def _submission(
    caller: StaffOnly,
    key: RequestKey,
    invoice: Annotated[FoundInvoice, Depends(_found)],
    request: Request,
) -> Submission:
    return Submission(request, caller, invoice, key)


async def _proofs(settings: CurrentSettings) -> ProofStore:
    return ProofStore(settings.proof_dir, settings.proof_max_bytes, creates=False)


Submitted = Annotated[Submission, Depends(_submission)]
Proofs = Annotated[ProofStore, Depends(_proofs)]


class NotificationScheduled(BaseModel):
    """The confirmation that notifications will be sent."""

    detail: str


_SCHEDULED: Final = WrittenAnswer(
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
async def paid(submission: Submitted, proofs: Proofs) -> Response:
    """Mark invoice as paid and optionally create payment record with proof of payment."""
    return await pay(submission, proofs)


@router.post(
    "/{uuid}/send_notification/",
    operation_id="invoices_send_notification",
    summary="Send invoice notification",
    response_model=NotificationScheduled,
    **document_action("Notifications will be sent"),
)
async def send_notification(submission: Submitted, request: Request) -> Response:
    """Schedule sending of a notification for the specified invoice. A body is ignored."""
    return await notify(submission, _SCHEDULED, request.app.state.notifier.notify_worker)


def _body(model: type[BaseModel]) -> dict[str, Any]:
    return document_body(json=model, form=model, multipart=model)


@router.post(
    "/{uuid}/set_backend_id/",
    operation_id="invoices_set_backend_id",
    summary="Set backend ID",
    response_class=Response,
    **document_action(NO_BODY, _body(BackendIdRequest), conditional=True),
)
async def set_backend_id(submission: Submitted) -> Response:
    """Set backend ID for invoice."""
    return await annotate(submission, "backend_id")


@router.post(
    "/{uuid}/set_payment_url/",
    operation_id="invoices_set_payment_url",
    summary="Set payment URL",
    response_class=Response,
    **document_action(NO_BODY, _body(PaymentURLRequest), conditional=True),
)
async def set_payment_url(submission: Submitted) -> Response:
    """Set payment URL for invoice."""
    return await annotate(submission, "payment_url")


@router.post(
    "/{uuid}/set_reference_number/",
    operation_id="invoices_set_reference_number",
    summary="Set reference number",
    response_class=Response,
    **document_action(NO_BODY, _body(ReferenceNumberRequest), conditional=True),
)
async def set_reference_number(submission: Submitted) -> Response:
    """Set reference number for invoice."""
    return await annotate(submission, "reference_number")
