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
_stands = False
MAX_DRIFT: Final = timedelta(minutes=1)
"""By how much clocks may differ: what goes by them has as much slack."""


class ClockMonitor:
    """How evenly a clock runs, as seen by one who looks every now and then.

    `slack` is by how much it may change between two looks without having been set.
    """

    def __init__(self, slack: timedelta) -> None:
        self._slack = slack.total_seconds()
        self._stood = frozen_at() is not None
        self._ahead: float | None = None
        """By how much the clock was ahead of `monotonic` when that was last looked at."""
        self._set_at = -inf
        """When somebody had last set the clock, by `monotonic`."""

    def observe(self, moment: datetime) -> bool:
        """Take what the clock shows now; tell whether it was set since the last look."""
        if self._stood != (frozen_at() is not None):  # a test has stopped our clock, or let it run
            self._stood = not self._stood
            self._ahead, self._set_at = None, -inf
        ahead = moment.timestamp() - monotonic()
        was_set = self._ahead is not None and abs(ahead - self._ahead) > self._slack
        if was_set:
            self._set_at = monotonic()
        self._ahead = ahead
        return was_set

    @property
    def steady_seconds(self) -> float:
        """For how many seconds the clock has run evenly, as far as was looked at it."""
        return monotonic() - self._set_at


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


def frozen_at() -> datetime | None:
    """Return the moment at which a test has stopped the clock; None while it runs."""
    return now() if _stands else None


def freeze(moment: datetime | None) -> None:
    """Make the clock stand at `moment`, which must be timezone-aware; None lets it run again."""
    global _source, _seconds, _stands  # the clock is the process's own, as time is
    if moment is None:
        _source, _seconds, _stands = _system, time.monotonic, False
        return
    if moment.tzinfo is None:
        raise ValueError("The clock can only stand at a timezone-aware moment.")
    instant = moment.astimezone(UTC)
    _source, _seconds, _stands = lambda: instant, instant.timestamp, True
