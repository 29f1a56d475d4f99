"""Moves the database from one revision to another."""

from collections.abc import Callable, Set
from functools import cache
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory

_CONFIGURATION = Path(__file__).parents[2] / "alembic.ini"
_MIGRATIONS = Path(__file__).parents[2] / "migrations"


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


def is_current(revisions: Set[str]) -> bool:
    """Tell whether a database with these revisions has everything that this release needs.

    A revision that is not known here is of a newer release, whose changes must suit this one.
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
