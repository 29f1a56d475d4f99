"""The operation `paid`: its request is read, and its proof stored, around the action `pay`."""

from contextlib import closing
from typing import Final

from fastapi import APIRouter, Response

from app.api.errors import ApiError
from app.api.operation_docs import document_action, document_body
from app.api.rendered_response import RenderedResponse
from app.api.request_body import parse_body
from app.api.request_model import BodyContext, validate_body
from app.database.engine import Connection
from app.domain_errors import DomainError
from app.idempotency.api.submission import Submission
from app.invoices.actions.pay import PayInvoice, pay, remove_unused_proof
from app.invoices.api.request_bodies import PaidRequest, PaidRequestForm, PaidRequestMultipart
from app.invoices.api.submission import Submitted, render_changed
from app.invoices.errors import WrongInvoiceState
from app.invoices.repository.reads import FoundInvoice
from app.invoices.schemas import Invoice
from app.invoices.states import PAY
from app.payments.proofs import IncomingProof, ProofStore

router = APIRouter(prefix="/api/invoices", tags=["invoices"])
_REJECTIONS: Final = (ApiError, DomainError)


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
    settings = submission.request.app.state.settings
    proofs = ProofStore(settings.proof_dir, settings.proof_max_bytes, creates=False)
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
    async def change(connection: Connection) -> RenderedResponse:
        await pay(connection, command)
        return await render_changed(submission, connection)

    response = None
    database = submission.request.app.state.database
    async with remove_unused_proof(database, proofs, command, rejections=_REJECTIONS):
        response = await submission.run_once(change, conditional=True)
    if submission.rendered is None and command.proof is not None:
        # The same request was answered meanwhile, with its own copy of the file.
        await proofs.remove(command.proof.key)
    if response is None:
        if submission.rendered is None:  # pragma: no cover - it is rendered before the commit
            raise RuntimeError("a payment without a response")
        response = submission.rendered.response()
    return response
