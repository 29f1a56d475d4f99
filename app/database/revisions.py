"""The revisions of the database that this release knows, by the names of their files.

Every serving process asks for them. Alembic, which runs them, takes a tenth of a second to import.
"""

from collections.abc import Set
from functools import cache
from pathlib import Path

_FOLDER = Path(__file__).parents[2] / "migrations" / "versions"
_DIGITS = 4


def is_current(revisions: Set[str]) -> bool:
    """Return whether a database at these revisions has everything that this release needs.

    An unknown revision belongs to a newer release, whose changes must suit this one.
    """
    return bool(revisions) and revisions.isdisjoint(known_revisions()[:-1])


def newest_revision() -> str:
    """Return the newest revision that this release knows."""
    return known_revisions()[-1]


@cache
def known_revisions() -> tuple[str, ...]:
    """Return the revisions that this release knows, in their order: `0001` is `0001_name.py`."""
    numbers = (path.name[:_DIGITS] for path in _FOLDER.glob("*.py"))
    return tuple(sorted(number for number in numbers if number.isdecimal()))
