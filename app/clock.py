"""The clock of the process, read only here so that tests can freeze it."""

import time
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from functools import partial
from math import inf
from typing import Final

_system: Final = partial(datetime.now, UTC)
_source: Callable[[], datetime] = _system
_seconds: Callable[[], float] = time.monotonic
_is_frozen = False
MAX_DRIFT: Final = timedelta(minutes=1)
"""The difference between clocks that the service tolerates."""


class ClockMonitor:
    """Detects from repeated readings whether a clock was set.

    `tolerance` is how far it may drift from the monotonic clock between two readings.
    """

    def __init__(self, tolerance: timedelta) -> None:
        self._tolerance = tolerance.total_seconds()
        self._was_frozen = frozen_at() is not None
        self._ahead: float | None = None
        """How far the clock was ahead of `monotonic` at the last reading."""
        self._set_at = -inf
        """The time of the last jump, by `monotonic`."""

    def observe(self, moment: datetime) -> bool:
        """Note a reading of the clock; return whether it was set since the last one."""
        if self._was_frozen != (frozen_at() is not None):  # a test froze or released the clock
            self._was_frozen = not self._was_frozen
            self._ahead, self._set_at = None, -inf
        ahead = moment.timestamp() - monotonic()
        was_set = self._ahead is not None and abs(ahead - self._ahead) > self._tolerance
        if was_set:
            self._set_at = monotonic()
        self._ahead = ahead
        return was_set

    @property
    def steady_seconds(self) -> float:
        """Seconds since the last detected jump; infinite without one."""
        return monotonic() - self._set_at


def now() -> datetime:
    """Return the current time in UTC."""
    return _source()


def today() -> date:
    """Return the current date in UTC."""
    return now().date()


def monotonic() -> float:
    """Return the seconds of a clock that is never set; only differences have a meaning.

    While the clock is frozen, this one is, too, and moves with the frozen time.
    """
    return _seconds()


def frozen_at() -> datetime | None:
    """Return the time at which a test has frozen the clock; None while it runs."""
    return now() if _is_frozen else None


def freeze(moment: datetime | None) -> None:
    """Freeze the clock at `moment`, which must be timezone-aware; None lets it run again."""
    global _source, _seconds, _is_frozen  # one clock for the process
    if moment is None:
        _source, _seconds, _is_frozen = _system, time.monotonic, False
        return
    if moment.tzinfo is None:
        raise ValueError("The clock can only be frozen at a timezone-aware time.")
    instant = moment.astimezone(UTC)
    _source, _seconds, _is_frozen = lambda: instant, instant.timestamp, True
