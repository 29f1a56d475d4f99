"""`invoice`: pay or cancel single invoices; write and check the documents of issued ones."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, closing
from datetime import datetime
from pathlib import Path
from typing import Annotated, Final
from uuid import UUID

import typer

from app.audit.actor import Actor
from app.audit.writer import audited_transaction
from app.billing.periods import Period
from app.cli.context import fail, load_settings
from app.cli.database import with_database
from app.cli.documents import (
    DocumentFormat,
    DocumentKeeper,
    OnlyProfile,
    ProfileName,
    Selection,
    check_documents,
    write_documents,
)
from app.cli.exit_codes import MISUSED
from app.cli.months import parse_month
from app.credit_notes.actions.cancel import CancelInvoice
from app.credit_notes.actions.cancel import cancel as cancel_invoice
from app.database.engine import Connection, Database
from app.domain_errors import DomainError, WrongState
from app.invoices.actions.freeze import find_or_freeze
from app.invoices.actions.pay import PayInvoice, remove_unused_proof
from app.invoices.actions.pay import pay as pay_invoice
from app.invoices.errors import InvoiceNotFound, WrongInvoiceState
from app.invoices.queries.documents import find_by_reference, list_issued
from app.invoices.repository.writes import find_invoice
from app.payments.proof_store.incoming import IncomingProof
from app.payments.proof_store.opening import open_store
from app.payments.proof_store.store import ProofStore
from app.payments.proofs import Proof, ProofRefused, ProofTooLarge
from app.progress import Progress
from app.storage import StorageUnavailable

cli = typer.Typer()

_PIECE_BYTES: Final = 256 * 1024
_DONE: Final = {"cancel": "canceled", "pay": "paid"}
_Invoice = Annotated[UUID, typer.Argument(help="The UUID of the invoice.")]
_Month = Annotated[
    Period | None,
    typer.Option(parser=parse_month, metavar="YYYY-MM", help="All issued invoices of this month."),
]
_KEEPER: Final = DocumentKeeper("invoice", find_by_reference, list_issued, find_or_freeze)


@cli.command()
def cancel(
    uuid: _Invoice,
    why: Annotated[str, typer.Option(help="The reason; it is stored with the invoice.")],
) -> None:
    """Cancel a pending or created invoice. A created one gets a credit note of the whole."""
    settings = load_settings()

    async def run(database: Database, _progress: Progress) -> int:
        transaction = audited_transaction(
            database, settings.audit_key, Actor("cancel"), comment=why
        )
        return await _change(
            uuid,
            "cancel",
            transaction,
            lambda c, i: cancel_invoice(c, CancelInvoice(i, why), settings),
        )

    typer.echo(f"Invoice {_run('invoice cancel', run, uuid)} is canceled.")


@cli.command()
def pay(
    uuid: _Invoice,
    date: Annotated[
        datetime | None,
        typer.Option(
            formats=["%Y-%m-%d"],
            help="The date of the payment. Without it the invoice is marked as paid and no payment"
            " is recorded.",
        ),
    ] = None,
    proof: Annotated[Path | None, typer.Option(help="A file with the proof of payment.")] = None,
    comment: Annotated[str, typer.Option(help="A comment for the audit record.")] = "",
) -> None:
    """Mark a created invoice as paid and, with a date, record the payment."""
    if proof is not None and date is None:
        fail("A proof is stored with a payment only: give --date, too.", code=MISUSED)
    settings = load_settings()

    async def run(database: Database, _progress: Progress) -> int:
        async with database.reading() as connection:
            invoice = await find_invoice(connection, uuid)
        proofs = open_store(settings, creates=False)
        stored = None if proof is None else await _store(proofs, proof)
        command = PayInvoice(invoice.id, date.date() if date else None, stored)
        transaction = audited_transaction(
            database, settings.audit_key, Actor("pay"), comment=comment
        )
        async with remove_unused_proof(database, proofs, command):
            await _change(uuid, "pay", transaction, lambda c, _: pay_invoice(c, command))
        return invoice.number

    typer.echo(f"Invoice {_run('invoice pay', run, uuid)} is paid.")


async def _store(proofs: ProofStore, path: Path) -> Proof:
    try:
        with path.open("rb") as file, closing(IncomingProof(proofs)) as incoming:
            await incoming.begin(path.name)
            while piece := await asyncio.to_thread(file.read, _PIECE_BYTES):
                await incoming.write(piece)
            return await incoming.finish()
    except (ProofRefused, ProofTooLarge) as error:
        fail(str(error))
    except StorageUnavailable as error:
        fail(f"The proof cannot be stored: {error}.")
    except OSError as error:
        fail(f"The proof cannot be read: {error}.")


async def _change(
    uuid: UUID,
    operation: str,
    transaction: AbstractAsyncContextManager[Connection],
    change: Callable[[Connection, int], Awaitable[object]],
) -> int:
    """Change an invoice in a transaction; return its number."""
    async with transaction as connection:
        invoice = await find_invoice(connection, uuid, lock=True)
        try:
            await change(connection, invoice.id)
        except WrongInvoiceState as error:
            *others, last = error.valid
            valid = f"{', '.join(others)} or {last}" if others else last
            raise WrongState(
                f"Invoice {invoice.number} is {invoice.state};"
                f" only one that is {valid} can be {_DONE[operation]}."
            ) from None
    return invoice.number


def _run(label: str, run: Callable[[Database, Progress], Awaitable[int]], uuid: UUID) -> int:
    """Return the number of the changed invoice, or end the command with the domain's message."""
    try:
        return with_database(label, run)
    except InvoiceNotFound:
        fail(f"There is no invoice {uuid}.")
    except DomainError as error:
        fail(str(error))


@cli.command()
def document(  # noqa: PLR0913, PLR0917 - the options of the command
    invoice: Annotated[
        str | None, typer.Argument(help="The UUID or the number of an issued invoice.")
    ] = None,
    format: Annotated[  # noqa: A002 - the option's name
        DocumentFormat, typer.Option(help="The format of the file.")
    ] = DocumentFormat.PDF,
    profile: ProfileName = None,
    month: _Month = None,
    every: Annotated[bool, typer.Option("--all", help="All issued invoices.")] = False,
    output: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--output",
            help="The file to write, or - for standard output; of several invoices, the folder.",
        ),
    ] = None,
) -> None:
    """Write the document of an issued invoice, or those of a month or of all invoices."""
    write_documents(_KEEPER, Selection(invoice, month, every), format, profile, output)


@cli.command()
def check(month: _Month = None, profile: OnlyProfile = None) -> None:
    """Check whether issued invoices can be written in each profile, and print what is missing."""
    completion = "--all" if month is None else f"--month {month.year:04}-{month.month:02}"
    check_documents(_KEEPER, month, profile, completion)
