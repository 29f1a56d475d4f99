"""`paid`: an invoice is marked as paid, and the payment is recorded, perhaps with a proof."""

from dataclasses import dataclass
from datetime import date
from typing import Self

import structlog
from starlette.requests import Request

from app.billing.vocabulary import InvoiceState
from app.database.engine import Database
from app.http import fields
from app.http.bodies import Body, read_body
from app.http.errors import ApiError, BrokenRule, Conflict, TooLarge
from app.http.multipart import FilePart
from app.invoices import changes
from app.invoices.repository import FoundInvoice
from app.payments import repository as payments
from app.payments.proofs import IncomingProof, Proof, ProofRefused, ProofStore, ProofTooLarge

_NOT_A_FILE = "The submitted data was not a file. Check the encoding type on the form."

_log = structlog.get_logger(__name__)


async def pay(
    database: Database, proofs: ProofStore, invoice: FoundInvoice, request: Request
) -> None:
    """Mark a created invoice as paid; with a body that has any field, record the payment.

    The state as it was found is checked before the body is read, which may take long and for which
    no connection is held; and the state of then when the change is written.

    Raises `Conflict` in any other state, what `read_body` raises, `InvalidFields`, `TooLarge`, and
    `BrokenRule` where the customer has no active payment profile. After each of them nothing has
    changed and no file is left.
    """
    if invoice.state is not InvoiceState.CREATED:
        raise _wrong_state()
    async with _ProofReceiver(proofs) as receiver:
        body = await read_body(request, receiver)
        submitted = _submitted(body, receiver) if body.fields else None
        if submitted is None or submitted.proof is None:
            await _write(database, invoice.id, submitted.date if submitted else None, None)
            return
        proof = await submitted.proof.keep()
        try:
            await _write(database, invoice.id, submitted.date, proof)
        except Exception as error:
            recorded = await _is_recorded(database, invoice.id, proof, after=error)
            if recorded is False:
                await proofs.remove(proof.key)
            if not recorded:
                raise


@dataclass(frozen=True, slots=True)
class _Submitted:
    date: date
    proof: IncomingProof | None


def _submitted(body: Body, receiver: "_ProofReceiver") -> _Submitted:
    errors = fields.FieldErrors()
    day = None
    if "date" not in body.fields:
        errors.add("date", fields.REQUIRED)
    else:
        try:
            day = fields.iso_date(body.fields["date"])
        except fields.FieldError as error:
            errors.add("date", *error.messages)
    proof = None
    match body.fields.get("proof", ""):
        case FilePart():
            proof = receiver.incoming
            errors.add("proof", *_refusals(proof))
        case None:
            errors.add("proof", fields.NULL)
        case "" if body.from_form or "proof" not in body.fields:
            pass
        case _:
            errors.add("proof", _NOT_A_FILE)
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


async def _write(
    database: Database, invoice_id: int, day: date | None, proof: Proof | None
) -> None:
    async with database.transaction() as connection:
        invoice = await changes.settle(connection, invoice_id)
        if invoice is None:
            raise _wrong_state()
        if day is None:
            return
        profile_id = await payments.active_profile(connection, invoice.customer_id)
        if profile_id is None:
            raise BrokenRule("The active profile for this customer does not exist.")
        # The total with tax is kept rounded half up to cents.
        await payments.record(
            connection,
            payments.NewPayment(invoice_id, profile_id, day, invoice.total_cost, proof),
        )


async def _is_recorded(
    database: Database, invoice_id: int, proof: Proof, *, after: Exception
) -> bool | None:
    """Tell whether the payment was committed though an error was heard; None if nobody can tell.

    A connection may be lost just when the commit's answer was due. While that transaction is still
    under way, it holds the invoice's row, so the check waits for it.
    """
    if isinstance(after, ApiError):
        return False
    try:
        async with database.transaction() as connection:
            await changes.locked_state_of(connection, invoice_id)
            return await payments.has_proof(connection, proof.key)
    except Exception:
        # The original error is what the caller hears of; an orphan is found by the sweep.
        _log.warning("proof_left_to_the_sweep", key=proof.key, exc_info=True)
        return None


def _wrong_state() -> Conflict:
    return Conflict("Valid states for operation: Created.")


class _ProofReceiver:
    """Takes the file in `proof`; as a context, leaves nothing unfinished behind."""

    field = "proof"

    def __init__(self, proofs: ProofStore) -> None:
        self.max_bytes = proofs.max_bytes
        self.incoming: IncomingProof | None = None
        self._proofs = proofs

    async def begin(self, name: str) -> None:
        if self.incoming is not None:
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
