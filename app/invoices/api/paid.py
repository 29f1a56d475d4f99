"""The operation `paid`: its request is read, and its proof stored, around the action `pay`."""

from datetime import date
from typing import Final

from fastapi import Response

from app.api import body_validators
from app.api.errors import REQUIRED, ApiError, InvalidFields, TooLarge
from app.api.multipart import FilePart
from app.api.rendered_response import RenderedResponse
from app.api.request_body import RequestBody, parse_body
from app.database.engine import Connection
from app.domain_errors import DomainError
from app.invoices.actions.pay import PayInvoice, pay, remove_unused_proof
from app.invoices.api.submission import Submission
from app.invoices.errors import WrongInvoiceState
from app.invoices.states import PAY
from app.payments.proofs import IncomingProof, ProofRefused, ProofStore, ProofTooLarge

_NOT_A_FILE: Final = "The submitted data was not a file. Check the encoding type on the form."
_SEVERAL_FILES: Final = "Only one file can be submitted."
_NO_FILE_FIELD: Final = "A file can be submitted in the field proof only."
_REJECTIONS: Final = (ApiError, DomainError)


async def pay_invoice(submission: Submission) -> Response:
    """Mark a created invoice as paid; a body with any field also records the payment.

    The state is checked before the body is read, which may take long and holds no connection, and
    again in the transaction. Under an idempotency key the body is always read: the request may be
    a repetition.

    Raises `WrongInvoiceState`, `NoActiveProfile`, `InvalidFields`, `TooLarge`, `DiskUnavailable`,
    and what `parse_body` and `Submission` raise. After each of them nothing has changed and no file
    is left.
    """
    is_payable = submission.invoice.state in PAY.valid
    if not is_payable and not submission.has_key:
        raise WrongInvoiceState(PAY.valid)
    settings = submission.settings
    proofs = ProofStore(settings.proof_dir, settings.proof_max_bytes, creates=False)
    receiver = _ProofReceiver(proofs)
    try:
        body = await parse_body(submission.request, receiver)
        replay = await submission.find_replay(body)
        if replay is not None:
            return replay
        if not is_payable:
            raise WrongInvoiceState(PAY.valid)
        if not body.fields:
            return await _pay(submission, proofs, PayInvoice(submission.invoice.id))
        day, incoming = _validated(body, receiver)
        proof = await incoming.finish() if incoming else None
        return await _pay(submission, proofs, PayInvoice(submission.invoice.id, day, proof))
    finally:
        if receiver.incoming is not None:
            receiver.incoming.remove_unfinished()


async def _pay(submission: Submission, proofs: ProofStore, command: PayInvoice) -> Response:
    rendered: RenderedResponse | None = None

    async def change(connection: Connection) -> RenderedResponse:
        nonlocal rendered
        await submission.require_match(connection)
        await pay(connection, command)
        rendered = await submission.render(connection)
        return rendered

    response = None
    async with remove_unused_proof(submission.database, proofs, command, rejections=_REJECTIONS):
        response = await submission.run_once(change)
    if rendered is None and command.proof is not None:
        # The same request was answered meanwhile, with its own copy of the file.
        await proofs.remove(command.proof.key)
    if response is None:
        if rendered is None:  # pragma: no cover - what was committed was rendered before
            raise RuntimeError("a payment without a response")
        response = rendered.response()
    return response


def _validated(body: RequestBody, receiver: "_ProofReceiver") -> tuple[date, IncomingProof | None]:
    """Return the date and the file of a payment; raises `InvalidFields`."""
    errors: dict[str, list[str]] = {}
    day = None
    try:
        day = body_validators.validate_date(body.fields["date"])
    except KeyError:
        errors["date"] = [REQUIRED]
    except body_validators.FieldError as error:
        errors["date"] = error.messages
    try:
        proof = _validated_proof(body, receiver)
    except (body_validators.FieldError, ProofRefused) as error:
        errors["proof"] = [str(error)]
    for name, value in body.fields.items():
        # A file under another name would be lost, and nobody would notice.
        if isinstance(value, FilePart) and name not in ("date", "proof"):
            errors[name] = [_NO_FILE_FIELD]
    if errors or day is None:
        raise InvalidFields(errors)
    return day, proof


def _validated_proof(body: RequestBody, receiver: "_ProofReceiver") -> IncomingProof | None:
    match body.fields.get("proof", ""):
        case FilePart(name=""):
            raise body_validators.FieldError(_NOT_A_FILE)
        case FilePart() if receiver.has_several:
            raise body_validators.FieldError(_SEVERAL_FILES)
        case FilePart():
            if receiver.incoming is not None:
                receiver.incoming.check()
            return receiver.incoming
        case None:
            raise body_validators.FieldError(body_validators.NULL)
        case "" if body.from_form or "proof" not in body.fields:
            return None
        case _:
            raise body_validators.FieldError(_NOT_A_FILE)


class _ProofReceiver:
    """Receives the file in the field `proof` while the body arrives."""

    field = "proof"

    def __init__(self, proofs: ProofStore) -> None:
        self.max_bytes = proofs.max_bytes
        self.incoming: IncomingProof | None = None
        """The last file."""
        self.has_several = False
        self._proofs = proofs

    async def begin(self, name: str) -> None:
        if self.incoming is not None:
            self.has_several = True
            await self.incoming.discard()
        self.incoming = self._proofs.begin(name)

    async def write(self, data: bytes) -> None:
        if self.incoming is not None:
            try:
                await self.incoming.write(data)
            except ProofTooLarge as error:
                raise TooLarge(str(error)) from None
