"""The worker's process, from its start to an orderly end."""

import asyncio
import logging
import signal
from collections.abc import Coroutine
from contextlib import suppress
from time import monotonic
from typing import Any, Final

from arq.connections import ArqRedis
from arq.worker import Worker
from redis.exceptions import RedisError, ResponseError
from sqlalchemy.exc import SQLAlchemyError

from app.database.engine import Database
from app.invoices.actions.set_currency import settle_currency
from app.jobs import arq_settings as arq
from app.jobs.collector import DatabaseCollector
from app.jobs.registry import build_registry
from app.jobs.runner import JobRunner
from app.jobs.schedule import Scheduler
from app.logging import describe_error, get_logger
from app.metrics.build import tell_build
from app.metrics.exporter import exported
from app.outbox.redis import create_redis_client, find_write_error
from app.settings import Settings
from app.shutdown import Ending

DRAIN_TIMEOUT: Final = 16.0
"""Seconds that running jobs have to end once the worker is asked to; then they are handed back."""
_CLOSING: Final = 1.5
"""Seconds for which what is merely to be closed is waited for."""
_REDIS_TIMEOUT: Final = 5.0

_logger = get_logger(__name__)


class WorkerProcess:
    """Runs jobs until it is asked to stop, on arq; without Redis it looks by itself, less often."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._database = Database(settings)
        jobs = build_registry(settings)
        self._runner = JobRunner(self._database, settings, jobs)
        self._watch = DatabaseCollector(self._database, jobs)
        self._scheduler = Scheduler(self._database)
        self._asked_to_stop = asyncio.Event()
        self._asked_at = float("inf")
        self._has_lost_queue = False
        """Whether the log was told last that Redis cannot be used."""

    def stop(self) -> None:
        """Ask the worker to end: it starts nothing more."""
        self._asked_at = monotonic()
        self._asked_to_stop.set()

    async def run(self) -> None:
        """Work until asked to stop; running jobs end, or are handed back."""
        tell_build()
        shown = self._watch.from_threads(asyncio.get_running_loop())
        with exported(self._settings.metrics_host, self._settings.worker_metrics_port, shown):
            await self._run()

    async def _run(self) -> None:
        _logger.info("worker started", queue=self._settings.queue_name)
        try:
            # One that cannot be written to now is settled by what adds the next invoice.
            with suppress(SQLAlchemyError, OSError):
                await settle_currency(self._database, self._settings)
            while not self._asked_to_stop.is_set():
                try:
                    await self._listen()
                except (RedisError, OSError) as error:
                    if not self._has_lost_queue:
                        _logger.warning("queue unusable", error=describe_error(error))
                    self._has_lost_queue = True
                    await self._until_asked(self._look(), _CLOSING)
                    with suppress(TimeoutError):
                        await asyncio.wait_for(self._asked_to_stop.wait(), arq.POLL_INTERVAL)
        finally:
            passed = max(0.0, monotonic() - self._asked_at)
            await self._runner.stop(max(0.0, DRAIN_TIMEOUT - passed))
            with suppress(TimeoutError):  # the system closes what a database that hangs does not
                await asyncio.wait_for(self._database.close(), _CLOSING)
            _logger.info("worker stopped")

    async def _listen(self) -> None:
        """Let arq run until it loses Redis, which raises, or until asked to stop."""
        redis = create_redis_client(self._settings, timeout=_REDIS_TIMEOUT)
        worker = arq.build_arq_worker(self._settings, redis, self._runner, self._scheduler)
        try:
            await self._until_asked(self._work(worker, redis), 0)
        finally:
            await self._close(worker, redis)

    async def _work(self, worker: Worker, redis: ArqRedis) -> None:
        """Let arq run; after an outage of Redis, only once it takes what is written again."""
        if self._has_lost_queue:
            if refusal := await find_write_error(redis, self._settings.queue_name):
                raise ResponseError(refusal)
            _logger.info("queue usable again")
            self._has_lost_queue = False
        await worker.async_run()

    async def _until_asked(self, work: Coroutine[Any, Any, None], patience: float) -> None:
        """Let some work go on until it ends, which may raise, or until asked to stop.

        Then it has `patience` seconds to end by itself.
        """
        working = asyncio.create_task(work)
        asked = asyncio.create_task(self._asked_to_stop.wait())
        try:
            await asyncio.wait([working, asked], return_when=asyncio.FIRST_COMPLETED)
            await asyncio.wait([working], timeout=patience)
            if working.done():
                await working
        finally:
            asked.cancel()
            working.cancel()
            await asyncio.wait([working, asked], timeout=_CLOSING)

    async def _close(self, worker: Worker, redis: ArqRedis) -> None:
        """End arq's functions and connections; its own way calls what redis-py warns of."""
        if worker.tasks:
            _, slow = await asyncio.wait(worker.tasks.values(), timeout=_REDIS_TIMEOUT)
            for task in slow:
                task.cancel()
            await asyncio.wait(worker.tasks.values(), timeout=_CLOSING)
        with suppress(RedisError, OSError, TimeoutError):
            async with asyncio.timeout(_CLOSING):
                await redis.delete(worker.health_check_key)
        with suppress(RedisError, OSError, TimeoutError):
            async with asyncio.timeout(_CLOSING):
                await redis.aclose(close_connection_pool=True)

    async def _look(self) -> None:
        """Do what arq would have started, had it heard from Redis."""
        try:
            await self._scheduler.look()
            await self._runner.relay()
        except SQLAlchemyError as error:
            self._runner.outage.tell(error)


async def run_worker(settings: Settings) -> None:
    """Run a worker until SIGTERM or SIGINT."""
    process = WorkerProcess(settings)
    loop = asyncio.get_running_loop()
    ending = Ending()
    for number in (signal.SIGTERM, signal.SIGINT):
        ending.on(number, lambda: loop.call_soon_threadsafe(process.stop))
    # arq tells each look at the outbox; what matters is told by the jobs.
    logging.getLogger("arq").setLevel(logging.WARNING)
    await process.run()


async def is_alive(settings: Settings) -> bool:
    """Tell whether a worker has given a sign of life on the queue within half a minute."""
    redis = create_redis_client(settings, timeout=_REDIS_TIMEOUT)
    try:
        return bool(await redis.exists(arq.health_check_key(settings)))
    except (RedisError, OSError):
        return False
    finally:
        await redis.aclose(close_connection_pool=True)
