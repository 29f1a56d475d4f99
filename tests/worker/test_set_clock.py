"""The machine's clock is set while the worker runs: it goes on to look and keeps its schedule."""

from datetime import datetime, timedelta

import pytest

from app.database.engine import Database
from app.outbox.queue import connect
from app.settings import Settings
from app.worker import settings as arq
from app.worker.runner import Runner
from app.worker.schedule import Scheduler

SECOND = timedelta(seconds=1)


@pytest.mark.parametrize("off", [timedelta(hours=5), timedelta(hours=-5)])
async def test_a_clock_that_is_set_silences_nothing(
    off: timedelta, database: Database, settings: Settings
) -> None:
    redis = connect(settings, timeout=5)
    runner, scheduler = Runner(database, settings, {}), Scheduler(database)
    worker = arq.build(settings, redis, runner, scheduler)
    look, schedule = (f"{settings.queue_name}:{name}" for name in ("look", "schedule"))
    now = datetime.now(worker.timezone)
    for passed in range(4):
        await worker.run_cron(now + off + passed * SECOND, 0.5)
    before = {job.job_id for job in await redis.queued_jobs()}
    for passed in range(4):
        await worker.run_cron(now + passed * SECOND, 0.5)
    told = [job.function for job in await redis.queued_jobs() if job.job_id not in before]
    assert {look, schedule} <= set(told)
    for job in worker.cron_jobs:
        assert job.next_run is not None
        assert abs(job.next_run - now) < timedelta(minutes=2)
    await redis.aclose(close_connection_pool=True)
