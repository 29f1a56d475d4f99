"""The one place where the service reads the clock."""

import time
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from math import inf
from typing import Final


def _system() -> datetime:
    return datetime.now(UTC)


_source: Callable[[], datetime] = _system
_seconds: Callable[[], float] = time.monotonic
MOST_DRIFT: Final = timedelta(minutes=1)
"""By how much clocks may differ: what goes by them has as much slack."""


class Steadiness:
    """How evenly the clock runs, as seen by one who looks every now and then.

    `slack` is by how much it may change between two looks without having been set.
    """

    def __init__(self, slack: timedelta) -> None:
        self._slack = slack.total_seconds()
        self.forget()

    def forget(self) -> None:
        """Begin anew, as if nobody had looked."""
        self.ahead: float | None = None
        """By how much the clock was ahead of `monotonic` when that was last looked at."""
        self.set_at = -inf
        """When somebody had last set the clock, by `monotonic`."""

    def look(self) -> bool:
        """Tell whether somebody has set the clock since the last look."""
        ahead = now().timestamp() - monotonic()
        was_set = self.ahead is not None and abs(ahead - self.ahead) > self._slack
        if was_set:
            self.set_at = monotonic()
        self.ahead = ahead
        return was_set


_steadiness = Steadiness(MOST_DRIFT)


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


def look() -> None:
    """Look whether somebody has set the clock; to be called every now and then."""
    _steadiness.look()


def steady_for() -> float:
    """Return for how many seconds the clock has run evenly, as far as this process has looked.

    Where somebody set it by more than a minute, what others wrote before by the clock as it was
    says little about how long ago that is.
    """
    look()
    return monotonic() - _steadiness.set_at


def freeze(moment: datetime | None) -> None:
    """Make the clock stand at `moment`, which must be timezone-aware; None lets it run again."""
    global _source, _seconds  # the clock is the process's own, as time is
    _steadiness.forget()
    if moment is None:
        _source, _seconds = _system, time.monotonic
        return
    if moment.tzinfo is None:
        raise ValueError("The clock can only stand at a timezone-aware moment.")
    standing = moment.astimezone(UTC)
    _source, _seconds = lambda: standing, standing.timestamp
