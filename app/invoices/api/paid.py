"""The operation `paid`: its request is read, and its proof stored, around the action `pay`."""

from contextlib import closing
from datetime import date
from functools import partial
from typing import Final

from fastapi import APIRouter, Response

from app.api import body_validators
from app.api.errors import REQUIRED, ApiError, InvalidFields
from app.api.multipart import FilePart
from app.api.operation_docs import document_action, document_body
from app.api.request_body import RequestBody, parse_body
from app.domain_errors import DomainError
from app.invoices.actions.pay import PayInvoice, pay, remove_unused_proof
from app.invoices.api.request_bodies import PaidRequest, PaidRequestForm, PaidRequestMultipart
from app.invoices.api.submission import Submission, Submitted
from app.invoices.errors import WrongInvoiceState
from app.invoices.schemas import Invoice
from app.invoices.states import PAY
from app.payments.proofs import IncomingProof, ProofRefused, ProofStore

router = APIRouter(prefix="/api/invoices", tags=["invoices"])

_NOT_A_FILE: Final = "The submitted data was not a file. Check the encoding type on the form."
_SEVERAL_FILES: Final = "Only one file can be submitted."
_NO_FILE_FIELD: Final = "A file can be submitted in the field proof only."
_REJECTIONS: Final = (ApiError, DomainError)


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


async def pay_invoice(submission: Submission) -> Response:
    """Mark a created invoice as paid; a body with any field also records the payment.

    The state is checked before the body is read, which may take long and holds no connection, and
    again in the transaction. Under an idempotency key the body is always read: the request may be
    a repetition.

    Raises `WrongInvoiceState`, `NoActiveProfile`, `InvalidFields`, `DiskUnavailable`, and what
    `parse_body` and `Submission` raise. After each of them nothing has changed and no file is left.
    """
    is_payable = submission.invoice.state in PAY.valid
    if not is_payable and submission.key is None:
        raise WrongInvoiceState(PAY.valid)
    settings = submission.settings
    proofs = ProofStore(settings.proof_dir, settings.proof_max_bytes, creates=False)
    with closing(IncomingProof(proofs)) as incoming:
        body = await parse_body(submission.request, incoming)
        replay = await submission.find_replay(body)
        if replay is not None:
            return replay
        if not is_payable:
            raise WrongInvoiceState(PAY.valid)
        command = PayInvoice(submission.invoice.id)
        if body.fields:
            day = _validated_date(body, incoming)
            proof = await incoming.finish() if incoming.count else None
            command = PayInvoice(submission.invoice.id, day, proof)
    return await _pay(submission, proofs, command)


async def _pay(submission: Submission, proofs: ProofStore, command: PayInvoice) -> Response:
    response = None
    async with remove_unused_proof(submission.database, proofs, command, rejections=_REJECTIONS):
        response = await submission.run_once(partial(pay, command=command))
    if submission.rendered is None and command.proof is not None:
        # The same request was answered meanwhile, with its own copy of the file.
        await proofs.remove(command.proof.key)
    if response is None:
        if submission.rendered is None:  # pragma: no cover - it is rendered before the commit
            raise RuntimeError("a payment without a response")
        response = submission.rendered.response()
    return response


def _validated_date(body: RequestBody, incoming: IncomingProof) -> date:
    """Return the date of a payment; raises `InvalidFields`, also for an invalid proof."""
    errors: dict[str, list[str]] = {}
    day = None
    try:
        day = body_validators.validate_date(body.fields["date"])
    except KeyError:
        errors["date"] = [REQUIRED]
    except body_validators.FieldError as error:
        errors["date"] = error.messages
    try:
        _check_proof(body, incoming)
    except (body_validators.FieldError, ProofRefused) as error:
        errors["proof"] = [str(error)]
    for name, value in body.fields.items():
        # A file in another field would be lost without a notice.
        if isinstance(value, FilePart) and name not in ("date", "proof"):
            errors[name] = [_NO_FILE_FIELD]
    if errors or day is None:
        raise InvalidFields(errors)
    return day


def _check_proof(body: RequestBody, incoming: IncomingProof) -> None:
    """Raise `FieldError` or `ProofRefused` unless the field is one valid file, or empty."""
    match body.fields.get(incoming.field, ""):
        case FilePart(name=""):
            raise body_validators.FieldError(_NOT_A_FILE)
        case FilePart() if incoming.count > 1:
            raise body_validators.FieldError(_SEVERAL_FILES)
        case FilePart():
            incoming.check()
        case None:
            raise body_validators.FieldError(body_validators.NULL)
        case "" if body.from_form or incoming.field not in body.fields:
            pass
        case _:
            raise body_validators.FieldError(_NOT_A_FILE)
