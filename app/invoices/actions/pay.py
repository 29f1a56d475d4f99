"""`paid`: an invoice is marked as paid, and the payment is recorded, perhaps with a proof."""

from dataclasses import dataclass
from datetime import date
from typing import Self

from fastapi import Response
from sqlalchemy.ext.asyncio import AsyncConnection

from app.api import body_validators
from app.api.errors import REQUIRED, ApiError, TooLarge
from app.api.multipart import FilePart
from app.api.rendered_response import WrittenAnswer
from app.api.request_body import Body, read_body
from app.billing.enums import InvoiceState
from app.domain_errors import DomainError
from app.invoices.api.submission import Submission
from app.invoices.errors import NoActiveProfile, WrongInvoiceState
from app.invoices.repository import writes
from app.logging import get_logger
from app.payments import repository as payments
from app.payments.proofs import IncomingProof, Proof, ProofRefused, ProofStore, ProofTooLarge

_NOT_A_FILE = "The submitted data was not a file. Check the encoding type on the form."
_SEVERAL_FILES = "Only one file can be submitted."
_NO_FILE_FIELD = "A file can be submitted in the field proof only."

_logger = get_logger(__name__)


async def pay(submission: Submission, proofs: ProofStore) -> Response:
    """Mark a created invoice as paid; with a body that has any field, record the payment.

    The state as it was found is checked before the body is read, which may take long and for which
    no connection is held; and the state of then when the change is written. Under an idempotency
    key the body is read in any case: it may be the second time that it is sent.

    Raises `WrongInvoiceState` in any other state, what `read_body` and `Submission` raise,
    `InvalidFields`, `TooLarge`, `DiskUnavailable`, and `NoActiveProfile` where the customer has no
    active payment profile. After each of them nothing has changed and no file is left.
    """
    is_created = submission.invoice.state is InvoiceState.CREATED
    if not is_created and not submission.has_key:
        raise _wrong_state()
    async with _ProofReceiver(proofs) as receiver:
        body = await read_body(submission.request, receiver)
        repeated = await submission.repeated(body)
        if repeated is not None:
            return repeated
        if not is_created:
            raise _wrong_state()
        submitted = _submitted(body, receiver) if body.fields else None
        if submitted is None or submitted.proof is None:
            return await _Change(submission, submitted.date if submitted else None).make()
        proof = await submitted.proof.keep()
        return await _Change(submission, submitted.date, proof).make_with(proofs)


@dataclass(frozen=True, slots=True)
class _Submitted:
    date: date
    proof: IncomingProof | None


def _submitted(body: Body, receiver: "_ProofReceiver") -> _Submitted:
    errors = body_validators.FieldErrors()
    day = None
    if "date" not in body.fields:
        errors.add("date", REQUIRED)
    else:
        try:
            day = body_validators.iso_date(body.fields["date"])
        except body_validators.FieldError as error:
            errors.add("date", *error.messages)
    proof = None
    match body.fields.get("proof", ""):
        case FilePart(name=""):
            errors.add("proof", _NOT_A_FILE)
        case FilePart() if receiver.has_several:
            errors.add("proof", _SEVERAL_FILES)
        case FilePart():
            proof = receiver.incoming
            errors.add("proof", *_refusals(proof))
        case None:
            errors.add("proof", body_validators.NULL)
        case "" if body.from_form or "proof" not in body.fields:
            pass
        case _:
            errors.add("proof", _NOT_A_FILE)
    for name, value in body.fields.items():
        # Evidence under another name would be lost, which nobody would notice.
        if isinstance(value, FilePart) and name not in ("date", "proof"):
            errors.add(name, _NO_FILE_FIELD)
    errors.raise_if_any()
    if day is None:  # pragma: no cover - there was an error
        raise RuntimeError("a payment without a date")
    return _Submitted(day, proof)


def _refusals(proof: IncomingProof | None) -> list[str]:
    if proof is None:  # pragma: no cover - the part was received
        raise RuntimeError("a proof without a receiver")
    try:
        proof.check()
    except ProofRefused as refusal:
        return [str(refusal)]
    return []


class _Change:
    """What `paid` writes, once the body is known."""

    def __init__(
        self, submission: Submission, day: date | None, proof: Proof | None = None
    ) -> None:
        self._submission = submission
        self._day = day
        self._proof = proof
        self._answer: WrittenAnswer | None = None

    async def make(self) -> Response:
        """Write it, and return the answer."""
        return await self._submission.once(self._write)

    async def make_with(self, proofs: ProofStore) -> Response:
        """Write it with a proof that is kept already, and removed if no payment came to have it."""
        if self._proof is None:  # pragma: no cover - it is called with one
            raise RuntimeError("a payment without its proof")
        key = self._proof.key
        try:
            response = await self.make()
        except Exception as error:
            recorded = await _is_recorded(self._submission, key, after=error)
            if recorded is False:
                await proofs.remove(key)
            if not recorded or self._answer is None:
                raise
            return self._answer.response()
        if self._answer is None:  # the same request was answered meanwhile, with another file
            await proofs.remove(key)
        return response

    async def _write(self, connection: AsyncConnection) -> WrittenAnswer:
        submission = self._submission
        await submission.require_match(connection)
        invoice = await writes.settle(connection, submission.invoice.id)
        if invoice is None:
            raise _wrong_state()
        if self._day is not None:
            profile_id = await payments.active_profile(connection, invoice.customer_id)
            if profile_id is None:
                raise NoActiveProfile
            # The total with tax is kept rounded half up to cents.
            payment = payments.NewPayment(
                submission.invoice.id, profile_id, self._day, invoice.total_cost, self._proof
            )
            await payments.record(connection, payment)
        self._answer = await submission.written(connection)
        return self._answer


async def _is_recorded(submission: Submission, proof_key: str, *, after: Exception) -> bool | None:
    """Tell whether the payment was committed though an error was heard; None if nobody can tell.

    A connection may be lost just when the commit's answer was due. While that transaction is still
    under way, it holds the invoice's row, so the check waits for it.
    """
    if isinstance(after, ApiError | DomainError):
        return False
    try:
        async with submission.database.transaction() as connection:
            await writes.locked_state_of(connection, submission.invoice.id)
            return await payments.has_proof(connection, proof_key)
    except Exception:
        # The original error is what the caller hears of; an orphan is found by the sweep.
        _logger.warning("proof_left_to_the_sweep", key=proof_key, exc_info=True)
        return None


def _wrong_state() -> WrongInvoiceState:
    return WrongInvoiceState([InvoiceState.CREATED])


class _ProofReceiver:
    """Takes the file in `proof`; as a context, leaves nothing unfinished behind."""

    field = "proof"

    def __init__(self, proofs: ProofStore) -> None:
        self.max_bytes = proofs.max_bytes
        self.incoming: IncomingProof | None = None
        self.has_several = False
        """Whether there was more than one file, of which only the last is here."""
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

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *error: object) -> None:
        if self.incoming is not None:
            await self.incoming.__aexit__(*error)
