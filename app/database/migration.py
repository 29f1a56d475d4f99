"""Migrates the database from one revision to another."""

from collections.abc import Callable
from pathlib import Path

from alembic import command
from alembic.config import Config

from app.progress import UNWATCHED, Progress

_CONFIGURATION = Path(__file__).parents[2] / "alembic.ini"


def migrate(
    revision: str = "head",
    *,
    down: bool = False,
    retry_seconds: float = 0,
    report: Callable[[str], None] = lambda _line: None,
    progress: Progress = UNWATCHED,
) -> None:
    """Bring the database at DATABASE_URL up, or down, to a revision.

    If a table is busy, it calls `report` and retries, for up to `retry_seconds`. Raises alembic's
    CommandError for an unknown revision, and DatabaseUnavailable.
    """
    configuration = Config(_CONFIGURATION)
    configuration.attributes.update(retry_seconds=retry_seconds, report=report, progress=progress)
    move = command.downgrade if down else command.upgrade
    move(configuration, revision)
