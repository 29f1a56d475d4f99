"""The clock of the process."""

from datetime import UTC, date, datetime, timedelta, timezone
from math import inf

import pytest

from app import clock


def test_the_clock_runs_in_utc() -> None:
    assert clock.now().tzinfo is UTC
    assert abs(datetime.now(UTC) - clock.now()) < timedelta(seconds=5)


def test_a_test_can_freeze_the_clock() -> None:
    moment = datetime(2026, 11, 24, 1, tzinfo=timezone(timedelta(hours=2)))
    clock.freeze(moment)
    assert clock.now() == moment
    assert clock.today() == date(2026, 11, 23)
    clock.freeze(None)
    assert clock.now() != moment


def test_the_monotonic_clock_is_frozen_with_it() -> None:
    before = clock.monotonic()
    assert clock.monotonic() >= before
    moment = datetime(2026, 11, 24, tzinfo=UTC)
    clock.freeze(moment)
    standing = clock.monotonic()
    assert clock.monotonic() == standing
    clock.freeze(moment + timedelta(seconds=1.5))
    assert clock.monotonic() == standing + 1.5


def test_a_naive_time_is_refused() -> None:
    with pytest.raises(ValueError, match="timezone-aware"):
        clock.freeze(datetime(2026, 11, 23))  # noqa: DTZ001 - what is refused


def test_the_monitor_detects_a_clock_that_was_set(monkeypatch: pytest.MonkeyPatch) -> None:
    moment, seconds = datetime(2026, 11, 24, tzinfo=UTC), 1000.0
    clock.freeze(moment)
    monkeypatch.setattr(clock, "_seconds", lambda: seconds)
    monitor = clock.ClockMonitor(clock.MAX_DRIFT)

    def steady_for() -> float:
        monitor.observe(moment)
        return monitor.steady_seconds

    assert steady_for() == inf
    for step in (timedelta(hours=6), -timedelta(hours=7)):
        seconds += 5
        moment += timedelta(seconds=5) + step
        assert steady_for() == 0
        seconds += 30
        moment += timedelta(seconds=30 + 59)  # as clocks may drift
        assert steady_for() == 30


def test_freezing_the_clock_is_no_jump() -> None:
    monitor = clock.ClockMonitor(clock.MAX_DRIFT)
    assert not monitor.observe(clock.now())
    for moment in (datetime(2026, 11, 24, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC), None):
        clock.freeze(moment)
        assert clock.frozen_at() == moment
        assert not monitor.observe(clock.now())
        assert monitor.steady_seconds == inf
