"""`migrate`: the database's shape."""

from pathlib import Path
from typing import Annotated

import typer

from app.cli.support import fail, with_database

_CONFIGURATION = Path(__file__).parents[3] / "alembic.ini"


def register(cli: typer.Typer) -> None:
    """Add the command."""
    cli.command()(migrate)


def migrate(
    to: Annotated[str, typer.Option(help="The revision to go to.")] = "head",
    down: Annotated[
        bool, typer.Option("--down", help="Go back to that revision; what it lacks is lost.")
    ] = False,
) -> None:
    """Bring the database to the newest revision, or to the one named."""
    from alembic import command  # noqa: PLC0415 - keeps --help fast
    from alembic.config import Config  # noqa: PLC0415
    from alembic.util import CommandError  # noqa: PLC0415

    with_database(_nothing)  # tells in one line where it cannot be reached
    move = command.downgrade if down else command.upgrade
    try:
        move(Config(_CONFIGURATION), to)
    except CommandError as error:
        fail(f"{error}.".replace("..", "."))


async def _nothing(_: object) -> None:
    pass
