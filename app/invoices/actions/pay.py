"""Pay an invoice: mark it as paid and, if a date is given, record the payment."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import date
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from app.database.engine import Database
from app.domain_errors import DomainError
from app.invoices.errors import NoActiveProfile, WrongInvoiceState
from app.invoices.repository import writes
from app.invoices.states import PAY
from app.logging import get_logger
from app.payments import repository as payments
from app.payments.proof_store.store import ProofStore, remove
from app.payments.proofs import Proof

_logger = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class PayInvoice:
    """Mark a created invoice as paid; with a date, record the payment, perhaps with a proof."""

    invoice_id: int
    date_of_payment: date | None = None
    """None records no payment."""
    proof: Proof | None = None
    """The stored proof of the payment."""


async def pay(connection: AsyncConnection, command: PayInvoice) -> UUID | None:
    """Mark the invoice as paid and record the payment of its total with tax, less its credit notes.

    Returns the UUID of the payment; None without a date.

    Raises `WrongInvoiceState` if the invoice is not created, and `NoActiveProfile` if a payment is
    to be recorded and the customer has no active payment profile.
    """
    invoice = await writes.mark_paid(connection, command.invoice_id)
    if invoice is None:
        raise WrongInvoiceState(PAY.valid)
    if command.date_of_payment is None:
        return None
    # The stored total with tax is rounded half up, and the sums of credit notes are.
    payment = payments.NewPayment(
        command.invoice_id,
        invoice.customer_id,
        command.date_of_payment,
        invoice.due,
        command.proof,
    )
    uuid = await payments.record_payment(connection, payment)
    if uuid is None:
        raise NoActiveProfile
    return uuid


@asynccontextmanager
async def remove_unused_proof(
    database: Database,
    proofs: ProofStore,
    command: PayInvoice,
    *,
    rejections: tuple[type[Exception], ...] = (DomainError,),
) -> AsyncIterator[None]:
    """Remove the command's proof if the transaction inside leaves no payment with it.

    An error inside is suppressed if the payment was committed all the same: a connection may be
    lost just when the answer to the commit is due. `rejections` are errors after which nothing was
    committed for certain. If it cannot be checked, the proof is left to the sweep.
    """
    try:
        yield
    except rejections:
        if command.proof is not None:
            await remove(proofs, command.proof.key)
        raise
    except Exception:
        if command.proof is None:
            raise
        key = command.proof.key
        recorded = await _is_recorded(database, command.invoice_id, key)
        if recorded is False:
            await remove(proofs, key)
        if not recorded:
            raise


async def _is_recorded(database: Database, invoice_id: int, proof_key: str) -> bool | None:
    """Return whether a payment has the proof; None if the database cannot be asked."""
    try:
        async with database.transaction() as connection:
            # A transaction that is still under way holds the invoice's row: wait for it.
            await writes.lock_state(connection, invoice_id)
            return await payments.has_proof(connection, proof_key)
    except Exception:
        _logger.warning("proof_left_to_the_sweep", key=proof_key, exc_info=True)
        return None
