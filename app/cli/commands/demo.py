"""`demo`: demonstration data."""

import typer

from app.cli.context import load
from app.cli.database import with_database
from app.local import demo as demonstration
from app.settings import AuditSettings

cli = typer.Typer()


@cli.command()
def demo() -> None:
    """Load fictitious data of thirteen months into an empty database."""
    settings = load(AuditSettings)
    typer.echo(
        with_database(lambda database: demonstration.load(database, settings), settings=settings)
    )
