"""`migrate`: the database's shape."""

from typing import Annotated

import typer

from app.cli.context import check_database, fail


def register(cli: typer.Typer) -> None:
    """Add the command."""
    cli.command()(migrate)


def migrate(
    to: Annotated[str, typer.Option(help="The revision to go to.")] = "head",
    down: Annotated[
        bool, typer.Option("--down", help="Go back to that revision; what it lacks is lost.")
    ] = False,
    patience: Annotated[
        float, typer.Option(min=0, help="For how many seconds to try again while tables are busy.")
    ] = 120,
) -> None:
    """Bring the database to the newest revision, or to the one named."""
    from alembic.util import CommandError  # noqa: PLC0415 - keeps --help fast

    from app.database import migration  # noqa: PLC0415

    check_database()
    try:
        migration.migrate(
            to, down=down, patience=patience, tell=lambda line: typer.echo(line, err=True)
        )
    except CommandError as error:
        fail(f"{error}.".replace("..", "."))
