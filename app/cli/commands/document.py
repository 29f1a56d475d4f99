"""`document`: complete the documents of issued invoices."""

from collections.abc import Sequence
from typing import Annotated, Final

import typer

from app.audit.actor import Actor
from app.audit.writer import audited_transaction
from app.billing.periods import Period
from app.cli.context import fail, load_settings
from app.cli.database import with_database
from app.cli.exit_codes import MISUSED
from app.cli.months import parse_month
from app.database.engine import Database
from app.domain_errors import DomainError
from app.invoices.actions.complete import CompletedDocument, complete_documents
from app.invoices.actions.freeze import find_or_freeze
from app.invoices.errors import InvoiceNotFound
from app.invoices.queries.documents import find_by_reference, list_issued
from app.progress import Progress

cli = typer.Typer()

_BATCH: Final = 200
"""The invoices of one transaction."""


@cli.callback()
def _options() -> None:
    """Complete the documents of issued invoices."""


@cli.command()
def complete(
    invoice: Annotated[
        str | None, typer.Argument(help="The UUID or the number of an issued invoice.")
    ] = None,
    month: Annotated[
        Period | None,
        typer.Option(
            parser=parse_month, metavar="YYYY-MM", help="All issued invoices of this month."
        ),
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="All issued invoices.")] = False,
    comment: Annotated[str, typer.Option(help="A comment for the audit record.")] = "",
) -> None:
    """Fill in values of issued invoices that were empty at the issue.

    The values are those of the customer and of ISSUER_DETAILS today. A value that is there never
    changes. Each document that gets a value has a further version, in the record of changes.
    """
    if [invoice is not None, month is not None, every].count(True) != 1:
        fail("Name one invoice, or give --month or --all.", code=MISUSED)
    settings = load_settings()

    async def run(database: Database, progress: Progress) -> int:
        async with database.reading() as connection:
            if invoice is not None:
                chosen: Sequence[int] = [await find_by_reference(connection, invoice)]
            else:
                chosen = await list_issued(connection, month)
        if invoice is not None:  # one that is not issued is an error
            await find_or_freeze(database, settings, chosen[0])
        progress.begin("invoices", len(chosen))
        changed = 0
        for start in range(0, len(chosen), _BATCH):
            batch = chosen[start : start + _BATCH]
            async with audited_transaction(
                database, settings.audit_key, Actor("document_complete"), comment
            ) as connection:
                completed = await complete_documents(connection, batch, settings)
            changed += sum(bool(each.fields) for each in completed)
            _print(completed)
            progress.advance(len(batch))
        return changed

    try:
        changed = with_database("document complete", run)
    except InvoiceNotFound:
        fail(f"There is no invoice {invoice}.")
    except DomainError as error:
        fail(str(error))
    typer.echo(f"Documents completed: {changed:,}.", err=True)


def _print(completed: Sequence[CompletedDocument]) -> None:
    for each in completed:
        if each.fields:
            typer.echo(f"{each.number}: {', '.join(each.fields)}")
