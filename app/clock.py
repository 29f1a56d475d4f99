"""The one place where the service reads the clock."""

import time
from collections.abc import Callable
from datetime import UTC, date, datetime


def _system() -> datetime:
    return datetime.now(UTC)


_source: Callable[[], datetime] = _system
_seconds: Callable[[], float] = time.monotonic


def now() -> datetime:
    """Return the current moment in UTC."""
    return _source()


def today() -> date:
    """Return the current date in UTC."""
    return now().date()


def monotonic() -> float:
    """Return seconds that only differences of mean something; nobody sets this clock.

    While the clock stands, so does this one, and it moves by as much as the clock is set on.
    """
    return _seconds()


def freeze(moment: datetime | None) -> None:
    """Make the clock stand at `moment`, which must be timezone-aware; None lets it run again."""
    global _source, _seconds  # the clock is the process's own, as time is
    if moment is None:
        _source, _seconds = _system, time.monotonic
        return
    if moment.tzinfo is None:
        raise ValueError("The clock can only stand at a timezone-aware moment.")
    standing = moment.astimezone(UTC)
    _source, _seconds = lambda: standing, standing.timestamp
