"""`audit`: verify the record of changes, or backfill it."""

from typing import Annotated

import typer

from app.audit.backfill import BackfillResult, backfill
from app.audit.verify import VerificationResult
from app.audit.verify import verify as find_discrepancies
from app.cli.context import fail, load
from app.cli.database import with_database
from app.cli.exit_codes import FAILED, MISUSED
from app.database.engine import Database
from app.settings import AuditSettings

cli = typer.Typer()


@cli.command()
def verify() -> None:
    """Check every entry of the record, and compare every invoice with it.

    Prints one line for each discrepancy. Exits with code 1 if there is any.
    """
    settings = load(AuditSettings)

    async def run(database: Database) -> VerificationResult:
        result = VerificationResult()
        async for discrepancy in find_discrepancies(database, settings, result):
            typer.echo(str(discrepancy))
        return result

    result = with_database(run)
    typer.echo(str(result))
    if result.discrepancies:
        raise typer.Exit(FAILED)


@cli.command()
def adopt(
    why: Annotated[str, typer.Option(help="The reason; it is stored in each new entry.")],
) -> None:
    """Seal changes that have no entry, and start the record of invoices that have none.

    Use it for changes written by a release without a record. Run `verify` first and check the
    discrepancies: this command accepts the current data as it is.
    """
    if not why.strip():
        fail("A reason is needed.", code=MISUSED)
    key = load(AuditSettings).audit_key

    async def run(database: Database) -> BackfillResult:
        return await backfill(database, key, why.strip())

    typer.echo(str(with_database(run)))
