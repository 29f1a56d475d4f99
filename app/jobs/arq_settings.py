"""Settings of the arq worker, which receives notifications over Redis and polls on a schedule.

The jobs themselves are entries of the outbox. Redis therefore holds nothing that must survive, and
it does not matter that arq retries neither failed jobs nor, in time, those of a killed worker.
"""

from datetime import datetime, timedelta
from typing import Any, Final

from arq.connections import ArqRedis
from arq.cron import cron
from arq.worker import Worker, func
from pydantic_core import from_json
from sqlalchemy.exc import SQLAlchemyError

from app import clock
from app.jobs.runner import JobRunner
from app.jobs.schedule import Scheduler
from app.outbox.notifier import RUN_DUE_JOBS, serialize
from app.settings import Settings

POLL_INTERVAL: Final = 2
"""Seconds between two polls of the outbox; a notification polls it at once."""
_HEALTH_CHECK_INTERVAL: Final = 30
_TIMEOUT: Final = 20
"""Seconds that arq's functions, which only start jobs, may take. The name of a function stays
blocked for this time and ten seconds more if its worker is killed."""
_CLOCK_TOLERANCE: Final = timedelta(seconds=1)
"""A change of the clock between two checks that shows that it was set."""


def health_check_key(settings: Settings) -> str:
    """Return the key on Redis that a live worker renews; it expires after half a minute."""
    return f"{settings.queue_name}:health"


class _Worker(Worker):
    """An arq worker whose schedule follows a clock that is set.

    arq computes the next start from the last one. If the clock is set back by an hour, it would
    start nothing for an hour.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._monitor = clock.ClockMonitor(_CLOCK_TOLERANCE)

    async def run_cron(self, n: datetime, delay: float, num_windows: int = 2) -> None:
        if self._monitor.observe(clock.now()):
            for job in self.cron_jobs:
                job.next_run = None
        await super().run_cron(n, delay, num_windows)


async def poll(runner: JobRunner, scheduler: Scheduler) -> None:
    """Record the jobs of the schedule and start due jobs; log an outage of the database."""
    try:
        await scheduler.schedule_due_jobs()
        await runner.start_due_jobs()
    except SQLAlchemyError as error:
        runner.outage.begin(error)


def build_arq_worker(
    settings: Settings, redis: ArqRedis, runner: JobRunner, scheduler: Scheduler
) -> Worker:
    """Return an arq worker that polls the outbox and the schedule; it is not started."""

    async def run_due_jobs(ctx: dict[Any, Any], *_args: Any, **_kwargs: Any) -> None:
        try:
            await runner.start_due_jobs()
        except SQLAlchemyError as error:
            runner.outage.begin(error)

    async def schedule_jobs(ctx: dict[Any, Any], *_args: Any, **_kwargs: Any) -> None:
        await poll(runner, scheduler)

    # arq derives job ids from names; the queue's name separates queues on one server.
    queue = settings.queue_name
    return _Worker(
        functions=[func(run_due_jobs, name=RUN_DUE_JOBS, keep_result=0, max_tries=1)],
        cron_jobs=[
            cron(run_due_jobs, name=f"{queue}:look", second=set(range(0, 60, POLL_INTERVAL))),
            cron(schedule_jobs, name=f"{queue}:schedule", second=0, run_at_startup=True),
        ],
        redis_pool=redis,
        queue_name=queue,
        job_timeout=_TIMEOUT,
        job_serializer=serialize,
        job_deserializer=from_json,
        health_check_interval=_HEALTH_CHECK_INTERVAL,
        health_check_key=health_check_key(settings),
        handle_signals=False,
        log_results=False,
    )
