"""A worker with a wrong clock takes over no work, and logs the offset."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy.ext.asyncio import AsyncConnection
from structlog.testing import capture_logs

from app import clock
from app.database.engine import Database
from app.database.server_clock import ClockOffset
from app.jobs.poll_log import ClockCheck
from app.jobs.registry import build_registry
from app.jobs.runner import JobRunner
from app.jobs.schedule import Scheduler
from app.outbox import repository as outbox
from app.settings import Settings

LEASE = timedelta(seconds=30)
TEN_MINUTES = timedelta(minutes=10)
Move = Callable[[timedelta], None]


@pytest.fixture
def ahead(monkeypatch: pytest.MonkeyPatch) -> Move:
    """Put our own clock ahead of the database server's by so much."""

    def by(off: timedelta) -> None:
        monkeypatch.setattr(clock, "_source", lambda: datetime.now(UTC) + off)

    return by


@pytest.mark.parametrize("off", [TEN_MINUTES, -TEN_MINUTES])
async def test_a_fast_clock_does_not_take_over_a_claim(
    connection: AsyncConnection, ahead: Move, off: timedelta
) -> None:
    await outbox.record_job(connection, "a", {})
    assert len(await outbox.claim_due(connection, 1, LEASE)) == 1
    ahead(off)
    assert await outbox.claim_due(connection, 1, LEASE) == []


@pytest.mark.parametrize("off", [TEN_MINUTES, -TEN_MINUTES])
async def test_an_entry_recorded_with_another_clock_is_due_at_once(
    connection: AsyncConnection, ahead: Move, off: timedelta
) -> None:
    ahead(off)
    await outbox.record_job(connection, "a", {})
    ahead(timedelta())
    assert len(await outbox.claim_due(connection, 1, LEASE)) == 1


async def test_the_schedule_is_recorded_once_by_differing_clocks(
    database: Database, connection: AsyncConnection, settings: Settings, ahead: Move
) -> None:
    jobs = build_registry(settings)
    scheduled = [job for job in jobs.values() if job.times]
    for off in (timedelta(), timedelta(days=3), -timedelta(days=3)):
        ahead(off)
        await Scheduler(database, jobs).schedule_due_jobs()
    assert [each.due for each in await outbox.count_open_entries(connection)] == [1] * len(
        scheduled
    )


async def test_a_worker_logs_a_clock_offset_once(
    database: Database, settings: Settings, ahead: Move
) -> None:
    runner = JobRunner(database, settings, {})
    with capture_logs() as logged:
        for off in (0, 600, 600, 601, 660, 0, 0):
            ahead(timedelta(seconds=off))
            await runner.start_due_jobs()
    assert [(line["event"], line.get("ahead_seconds")) for line in logged] == [
        ("this machine's clock differs from the database server's", pytest.approx(600, abs=1)),
        ("this machine's clock differs from the database server's", pytest.approx(660, abs=1)),
        ("clock right again", None),
    ]


@pytest.mark.parametrize(
    ("seconds", "uncertain", "is_told"),
    [(5.1, 0, True), (-5.1, 0, True), (4.9, 0, False), (8, 4, False), (-9.1, 4, True)],
)
def test_an_offset_is_logged_only_beyond_its_uncertainty(
    seconds: float, uncertain: float, is_told: bool
) -> None:
    difference = ClockOffset(timedelta(seconds=seconds), timedelta(seconds=uncertain))
    with capture_logs() as logged:
        ClockCheck().check(difference)
    assert bool(logged) == is_told
