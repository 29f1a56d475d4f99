"""Moves the database from one revision to another."""

from collections.abc import Callable
from pathlib import Path

from alembic import command
from alembic.config import Config

_CONFIGURATION = Path(__file__).parents[2] / "alembic.ini"


def migrate(
    revision: str = "head",
    *,
    down: bool = False,
    patience: float = 0,
    tell: Callable[[str], None] = lambda _line: None,
) -> None:
    """Bring the database at DATABASE_URL up, or down, to a revision.

    Where a table is busy, it tells so and tries again, for `patience` seconds. Raises alembic's
    CommandError for a revision that is not there, and DatabaseUnavailable.
    """
    configuration = Config(_CONFIGURATION)
    configuration.attributes.update(patience=patience, tell=tell)
    move = command.downgrade if down else command.upgrade
    move(configuration, revision)
