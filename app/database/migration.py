"""Migrates the database from one revision to another."""

from collections.abc import Callable, Set
from functools import cache
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory

from app.progress import UNWATCHED, Progress

_CONFIGURATION = Path(__file__).parents[2] / "alembic.ini"
_MIGRATIONS = Path(__file__).parents[2] / "migrations"


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


def is_current(revisions: Set[str]) -> bool:
    """Return whether a database at these revisions has everything that this release needs.

    An unknown revision belongs to a newer release, whose changes must suit this one.
    """
    return bool(revisions) and not revisions & _outdated()


@cache
def heads() -> frozenset[str]:
    """Return the newest revision that this release knows."""
    return frozenset(_scripts().get_heads())


@cache
def _outdated() -> frozenset[str]:
    return frozenset(script.revision for script in _scripts().walk_revisions()) - heads()


def _scripts() -> ScriptDirectory:
    return ScriptDirectory(str(_MIGRATIONS))
