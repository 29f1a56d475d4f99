"""`demo`: demonstration data."""

import typer

from app.cli.context import load_audit_settings
from app.cli.database import with_database
from app.local.demo import load

cli = typer.Typer()


@cli.command()
def demo() -> None:
    """Load fictitious data of thirteen months into an empty database."""
    settings = load_audit_settings()
    typer.echo(with_database(lambda database: load(database, settings), settings=settings))
