"""The operations with which staff change one invoice."""

from contextlib import aclosing, closing
from typing import Annotated, Final

from fastapi import APIRouter, Depends, Request, Response

from app.api.caching.conditional_get import ConditionalGet
from app.api.confirmations import Detail
from app.api.errors import ApiError
from app.api.middleware.proxy_headers import origin
from app.api.operation_docs import NO_BODY, document_action, document_body
from app.api.query_parameters import QueryParser
from app.api.rendered_response import RenderedResponse
from app.api.request_body import parse_body
from app.api.request_model import BodyContext, RequestModel, validate_body
from app.api.response_format import ResponseFormat
from app.api.serializers import build_links
from app.database.deadline import restart_deadline_after_each
from app.database.engine import Connection
from app.domain_errors import DomainError
from app.idempotency.api.keys import HEADER, key_of_request
from app.idempotency.api.submission import Resource, Submission
from app.identity.api.authentication import StaffOnly
from app.identity.caller import Caller
from app.invoices.actions.notify import NotifyInvoice, notify
from app.invoices.actions.pay import PayInvoice, pay, remove_unused_proof
from app.invoices.actions.set_field import SetField, set_field
from app.invoices.api.filters import NamedInvoice, filter_set
from app.invoices.api.request_bodies import (
    BackendIdRequest,
    PaidRequest,
    PaidRequestForm,
    PaidRequestMultipart,
    PaymentURLRequest,
    ReferenceNumberRequest,
)
from app.invoices.api.router import InvoiceUuid
from app.invoices.errors import WrongInvoiceState
from app.invoices.rendering.invoices import InvoiceRenderer
from app.invoices.rendering.rendered import render_invoice
from app.invoices.repository import writes
from app.invoices.repository.reads import FoundInvoice, find_visible_invoice, read_version
from app.invoices.schemas import Invoice
from app.invoices.states import PAY
from app.payments.proof_store.incoming import IncomingProof
from app.payments.proof_store.store import ProofStore, remove

router = APIRouter(prefix="/api/invoices", tags=["invoices"])
_REJECTIONS: Final = (ApiError, DomainError)


_SCHEDULED: Final = Detail(detail="Invoice notification sending has been successfully scheduled.")


_Parameters = Annotated[NamedInvoice, Depends(QueryParser(NamedInvoice, hidden=NamedInvoice))]


async def _etag(
    connection: Connection, get: ConditionalGet, _caller: Caller, invoice: FoundInvoice
) -> str:
    await writes.lock_state(connection, invoice.id)
    version = await read_version(connection, invoice.id)
    return InvoiceRenderer(get.settings, get.cache, get.links).etag(version)


INVOICES: Final = Resource("invoice", "invoices", _etag)


async def _submission(
    request: Request, caller: StaffOnly, uuid: InvoiceUuid, parameters: _Parameters
) -> Submission[FoundInvoice]:
    key = key_of_request(request, caller) if HEADER in request.headers else None
    # A connection for this alone: an upload may follow.
    async with request.app.state.database.reading() as connection:
        invoice = await find_visible_invoice(
            connection, caller=caller, uuid=uuid, filters=filter_set(parameters)
        )
    return Submission(request, caller, key, INVOICES, invoice, str(invoice.uuid))


Submitted = Annotated[Submission[FoundInvoice], Depends(_submission)]


@router.post(
    "/{uuid}/paid/",
    operation_id="invoices_paid",
    summary="Mark invoice as paid",
    response_model=Invoice,
    **document_action(
        "The invoice, now paid",
        document_body(
            PaidRequest, form=PaidRequestForm, multipart=PaidRequestMultipart, required=False
        ),
        conditional=True,
    ),
)
async def paid(submission: Submitted) -> Response:
    """Mark invoice as paid and optionally create payment record with proof of payment."""
    # The state is checked before the body is read, which may take long and holds no connection, and
    # again in the transaction. Under an idempotency key the body is always read: the request may be
    # a repetition. After an error nothing has changed and no file is left.
    invoice = submission.record
    is_payable = invoice.state in PAY.valid
    if not is_payable and submission.key is None:
        raise WrongInvoiceState(PAY.valid)
    proofs = submission.request.app.state.proof_store
    with closing(IncomingProof(proofs)) as incoming:
        body = await parse_body(submission.request, incoming)
        replay = await submission.find_replay(body)
        if replay is not None:
            return replay
        if not is_payable:
            raise WrongInvoiceState(PAY.valid)
        command = PayInvoice(invoice.id)
        if body.fields:
            payment = validate_body(PaidRequestMultipart, body, BodyContext(incoming))
            proof = await incoming.finish() if incoming.count else None
            command = PayInvoice(invoice.id, payment.date, proof)
    return await _pay(submission, proofs, command)


async def _pay(
    submission: Submission[FoundInvoice], proofs: ProofStore, command: PayInvoice
) -> Response:
    request, settings = submission.request, submission.request.app.state.settings
    links = build_links(settings, origin(request).base)
    response_format = ResponseFormat(links, settings.currency)

    async def change(connection: Connection) -> RenderedResponse:
        await pay(connection, command)
        document = render_invoice(connection, command.invoice_id, settings, response_format)
        async with aclosing(document) as parts:
            return await RenderedResponse.from_parts(restart_deadline_after_each(parts))

    response = None
    database = request.app.state.database
    async with remove_unused_proof(database, proofs, command, rejections=_REJECTIONS):
        response = await submission.run_once(change, conditional=True)
    if submission.rendered is None and command.proof is not None:
        # The same request was answered meanwhile, with its own copy of the file.
        await remove(proofs, command.proof.key)
    if response is None:
        if submission.rendered is None:  # pragma: no cover - it is rendered before the commit
            raise RuntimeError("a payment without a response")
        response = submission.rendered.response()
    return response


@router.post(
    "/{uuid}/send_notification/",
    operation_id="invoices_send_notification",
    summary="Send invoice notification",
    response_model=Detail,
    **document_action("Notifications will be sent"),
)
async def send_notification(submission: Submitted) -> Response:
    """Schedule sending of a notification for the specified invoice. A body is ignored."""
    invoice, settings = submission.record, submission.request.app.state.settings

    async def schedule(connection: Connection) -> Detail:
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
