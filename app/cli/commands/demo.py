"""`demo`: demonstration data."""

import typer

from app.cli.context import fail, load
from app.cli.database import with_database
from app.local import demo as demonstration
from app.settings import ProofSettings
from app.storage import StorageUnavailable

cli = typer.Typer()


@cli.command()
def demo() -> None:
    """Load fictitious data of thirteen months into an empty database."""
    settings = load(ProofSettings)
    try:
        summary = with_database(
            "demo",
            lambda database, progress: demonstration.load(database, settings, progress),
            settings=settings,
        )
    except StorageUnavailable as error:
        fail(f"The proof of a payment cannot be stored: {error}.")
    typer.echo(summary)
