"""The clock is set while the worker runs: polling and the schedule go on."""

from datetime import UTC, datetime, time, timedelta
from itertools import count

import pytest
from sqlalchemy import update
from sqlalchemy.ext.asyncio import AsyncConnection

from app import clock
from app.database.engine import Database
from app.jobs import arq_settings as arq
from app.jobs.runner import JobRunner
from app.jobs.schedule import Scheduler
from app.outbox import repository as outbox
from app.outbox.models import OutboxEntry
from app.outbox.notifier import create_redis_client
from app.settings import Settings
from tests.support.jobs import daily

NOW = datetime(2026, 11, 2, 12, tzinfo=UTC)
LEASE = timedelta(seconds=30)
SECOND = timedelta(seconds=1)


@pytest.mark.parametrize("off", [timedelta(hours=5), timedelta(minutes=1), timedelta(hours=-5)])
async def test_setting_the_clock_does_not_stop_polling(
    off: timedelta, database: Database, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    redis = create_redis_client(settings, timeout=5)
    runner, scheduler = JobRunner(database, settings, {}), Scheduler(database, {})
    worker = arq.build_arq_worker(settings, redis, runner, scheduler)
    look, schedule = (f"{settings.queue_name}:{name}" for name in ("look", "schedule"))
    now, seconds = datetime.now(UTC), count()
    monkeypatch.setattr(clock, "_seconds", lambda: float(next(seconds)))

    async def pass_by(off: timedelta) -> None:
        for passed in range(4):
            moment = now + off + passed * SECOND
            monkeypatch.setattr(clock, "_source", lambda moment=moment: moment)
            await worker.run_cron(moment.astimezone(worker.timezone), 0.5)

    await pass_by(off)
    before = {job.job_id for job in await redis.queued_jobs()}
    await pass_by(timedelta())
    queued = [job.function for job in await redis.queued_jobs() if job.job_id not in before]
    assert {look, schedule} <= set(queued)
    for job in worker.cron_jobs:
        assert job.next_run is not None
        assert abs(job.next_run - now) < timedelta(minutes=2)
    await redis.aclose(close_connection_pool=True)


async def test_entries_of_a_fast_clock_run_after_its_correction(
    database: Database, connection: AsyncConnection
) -> None:
    clock.freeze(NOW + timedelta(hours=2))
    at_once = await outbox.record_job(connection, "a", {})
    await outbox.record_job(connection, "b", {}, clock.now() + timedelta(minutes=1))
    clock.freeze(NOW)
    assert await outbox.claim_due(connection, 9, LEASE) == []
    assert await Scheduler(database, {}).schedule_due_jobs()
    assert [claim.id for claim in await outbox.claim_due(connection, 9, LEASE)] == [at_once]
    # One that is at work is left to its lease.
    assert not await Scheduler(database, {}).schedule_due_jobs()


async def test_jobs_scheduled_by_a_fast_clock_are_scheduled_again(
    database: Database, connection: AsyncConnection
) -> None:
    noon = daily("a", time(12))
    clock.freeze(NOW + timedelta(days=40))
    assert await Scheduler(database, noon).record_due_jobs(clock.now()) == ["a"]
    await connection.execute(update(OutboxEntry).values(done_at=clock.now()))
    clock.freeze(NOW)
    assert await Scheduler(database, noon).record_due_jobs(clock.now()) == ["a"]
    await connection.execute(update(OutboxEntry).values(done_at=clock.now()))
    assert await Scheduler(database, noon).record_due_jobs(clock.now()) == []
