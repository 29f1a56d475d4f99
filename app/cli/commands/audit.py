"""`audit`: the record of changes, verified and completed."""

from typing import TYPE_CHECKING, Annotated

import typer

from app.cli.context import FAILED, MISUSED, fail, load_audit_settings, with_database

if TYPE_CHECKING:
    from app.audit.backfill import Adoption
    from app.audit.verify import Verification
    from app.database.engine import Database


def register(cli: typer.Typer) -> None:
    """Add the group of commands."""
    group = typer.Typer(no_args_is_help=True)
    group.command()(verify)
    group.command()(adopt)
    cli.add_typer(group, name="audit", help="Verify the record of changes, or complete it.")


def verify() -> None:
    """Check every entry of the record, and every invoice against it.

    Names what is not as it was recorded, a line each. Ends with code 1 where there is anything.
    """
    from app.audit.verify import Verification  # noqa: PLC0415 - keeps --help fast
    from app.audit.verify import verify as findings  # noqa: PLC0415

    settings = load_audit_settings()

    async def run(database: "Database") -> "Verification":
        verification = Verification()
        async for finding in findings(database, settings, verification):
            typer.echo(str(finding))
        return verification

    verification = with_database(run)
    typer.echo(str(verification))
    if verification.findings:
        raise typer.Exit(FAILED)


def adopt(
    why: Annotated[str, typer.Option(help="The reason; it is kept with each entry that is made.")],
) -> None:
    """Take into the record what was written past it, and begin the record of invoices without one.

    For what a release without a record has written. Look at what `verify` names first: whatever is
    there is taken as it is.
    """
    from app.audit.backfill import adopt as adopt_all  # noqa: PLC0415 - keeps --help fast

    if not why.strip():
        fail("A reason is needed.", code=MISUSED)
    key = load_audit_settings().audit_key

    async def run(database: "Database") -> "Adoption":
        return await adopt_all(database, key, why.strip())

    typer.echo(str(with_database(run)))
