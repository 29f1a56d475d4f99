"""Moves the database from one revision to another."""

from pathlib import Path

from alembic import command
from alembic.config import Config

_CONFIGURATION = Path(__file__).parents[2] / "alembic.ini"


def migrate(revision: str = "head", *, down: bool = False) -> None:
    """Bring the database at DATABASE_URL up, or down, to a revision.

    Raise alembic's CommandError for a revision that is not there.
    """
    move = command.downgrade if down else command.upgrade
    move(Config(_CONFIGURATION), revision)
