"""How arq is set up: it listens on Redis for nudges, and keeps the time.

The jobs themselves are entries of the outbox. So nothing that matters is in Redis, and what arq
does not do (run again what raised, or what a killed worker held) does not matter.
"""

from datetime import datetime, timedelta
from typing import Any, Final

from arq.connections import ArqRedis
from arq.cron import cron
from arq.worker import Worker, func
from sqlalchemy.exc import SQLAlchemyError

from app import clock
from app.jobs.runner import JobRunner
from app.jobs.schedule import Scheduler
from app.outbox.redis import RUN_DUE_JOBS, deserialize, serialize
from app.settings import Settings

POLL_INTERVAL: Final = 2
"""Seconds between two looks at the outbox; a nudge makes one at once."""
_HEALTH_EVERY: Final = 30
_TIMEOUT: Final = 20
"""Seconds that arq's functions may take. They only start jobs; a worker that is killed blocks the
function's name for so long, and ten seconds more."""

_UNEVEN: Final = timedelta(seconds=1)
"""A change of the clock between two looks at it that says that it was set."""


def health_check_key(settings: Settings) -> str:
    """Return the key that is on Redis while a worker is alive, for half a minute at a time."""
    return f"{settings.queue_name}:health"


class _Worker(Worker):
    """Goes by the clock as it is, also where it was set since the last look at it.

    arq counts on from the time at which it last started something: where the clock is set back, it
    would start nothing for as long.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._monitor = clock.ClockMonitor(_UNEVEN)

    async def run_cron(self, n: datetime, delay: float, num_windows: int = 2) -> None:
        if self._monitor.observe(clock.now()):
            for job in self.cron_jobs:
                job.next_run = None
        await super().run_cron(n, delay, num_windows)


def build_arq_worker(
    settings: Settings, redis: ArqRedis, runner: JobRunner, scheduler: Scheduler
) -> Worker:
    """Return an arq worker that starts what is due; it is not running yet."""

    async def relay(ctx: dict[Any, Any], *_args: Any, **_kwargs: Any) -> None:
        try:
            await runner.relay()
        except SQLAlchemyError as error:
            runner.outage.tell(error)

    async def schedule(ctx: dict[Any, Any], *_args: Any, **_kwargs: Any) -> None:
        try:
            if await scheduler.look():
                await runner.relay()
        except SQLAlchemyError as error:
            runner.outage.tell(error)

    # Names make job ids, which are the server's, not the queue's.
    queue = settings.queue_name
    return _Worker(
        functions=[func(relay, name=RUN_DUE_JOBS, keep_result=0, max_tries=1)],
        cron_jobs=[
            cron(relay, name=f"{queue}:look", second=set(range(0, 60, POLL_INTERVAL))),
            cron(schedule, name=f"{queue}:schedule", second=0, run_at_startup=True),
        ],
        redis_pool=redis,
        queue_name=queue,
        job_timeout=_TIMEOUT,
        job_serializer=serialize,
        job_deserializer=deserialize,
        health_check_interval=_HEALTH_EVERY,
        health_check_key=health_check_key(settings),
        handle_signals=False,
        log_results=False,
    )
