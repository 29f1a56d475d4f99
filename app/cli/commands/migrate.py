"""`migrate`: bring the database to a revision."""

from typing import Annotated

import typer
from alembic.util import CommandError

from app.cli.context import fail
from app.cli.database import check_database
from app.cli.progress import show_progress
from app.database import migration

cli = typer.Typer()


@cli.command()
def migrate(
    to: Annotated[str, typer.Option(help="The revision to go to.")] = "head",
    down: Annotated[
        bool, typer.Option("--down", help="Go back to that revision; data of later ones is lost.")
    ] = False,
    patience: Annotated[
        float, typer.Option(min=0, help="Seconds in which to retry while tables are busy.")
    ] = 120,
) -> None:
    """Bring the database to the newest revision, or to the one given."""
    check_database()
    try:
        with show_progress("migrate") as progress:
            migration.migrate(
                to,
                down=down,
                retry_seconds=patience,
                report=lambda line: typer.echo(line, err=True),
                progress=progress,
            )
    except CommandError as error:
        fail(f"{error}.".replace("..", "."))
