"""The one place where the service reads the clock."""

from collections.abc import Callable
from datetime import UTC, date, datetime


def _system() -> datetime:
    return datetime.now(UTC)


_source: Callable[[], datetime] = _system


def now() -> datetime:
    """Return the current moment in UTC."""
    return _source()


def today() -> date:
    """Return the current date in UTC."""
    return now().date()


def freeze(moment: datetime | None) -> None:
    """Make the clock stand at `moment`, which must be timezone-aware; None lets it run again."""
    global _source  # noqa: PLW0603 - the clock is the process's own, as time is
    if moment is None:
        _source = _system
        return
    if moment.tzinfo is None:
        raise ValueError("The clock can only stand at a timezone-aware moment.")
    _source = lambda: moment.astimezone(UTC)  # noqa: E731
