"""The worker's process, from its start to its graceful shutdown."""

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
from app.jobs.collector import DatabaseCollector, WorkerCollector
from app.jobs.registry import build_registry
from app.jobs.runner import JobRunner
from app.jobs.schedule import Scheduler
from app.logging import describe_error, get_logger
from app.metrics.exporter import metrics_server
from app.metrics.process import CONNECTIONS_MAX, set_build_info
from app.outbox.notifier import create_redis_client
from app.redis import find_write_error
from app.settings import Settings
from app.shutdown import ShutdownSignals

DRAIN_TIMEOUT: Final = 16.0
"""Seconds that running jobs may take after the signal to stop; then they are cancelled."""
_CLOSE_TIMEOUT: Final = 1.5
"""Seconds that closing a connection or cancelling a task may take."""
_CANCELLATIONS: Final = 10
"""How often a task is cancelled in this time until it ends."""
_REDIS_TIMEOUT: Final = 5.0

_logger = get_logger(__name__)


class WorkerProcess:
    """Runs jobs until it is stopped: on arq, or by polling alone while Redis is unavailable."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._database = Database(settings)
        CONNECTIONS_MAX.set(settings.database_pool_size)
        jobs = build_registry(settings)
        self._runner = JobRunner(self._database, settings, jobs)
        self._collector = DatabaseCollector(self._database, jobs, settings.finalization_grace)
        self._scheduler = Scheduler(self._database, jobs)
        self._stop = asyncio.Event()
        self._stopped_at = float("inf")
        self._has_lost_queue = False
        """Whether the loss of Redis was logged, and its return was not yet."""

    def stop(self) -> None:
        """Ask the worker to stop: it starts nothing more."""
        self._stopped_at = monotonic()
        self._stop.set()

    async def run(self) -> None:
        """Run until stopped; running jobs end, or their entries are released."""
        set_build_info()
        collector = WorkerCollector(self._collector, asyncio.get_running_loop())
        with metrics_server(
            self._settings.metrics_host, self._settings.worker_metrics_port, collector
        ):
            await self._run()

    async def _run(self) -> None:
        _logger.info("worker started", queue=self._settings.queue_name)
        try:
            # A database that rejects changes now is settled when the next invoice is added.
            with suppress(SQLAlchemyError, OSError):
                await settle_currency(self._database, self._settings)
            while not self._stop.is_set():
                try:
                    await self._run_arq()
                except (RedisError, OSError) as error:
                    if not self._has_lost_queue:
                        _logger.warning("queue unusable", error=describe_error(error))
                    self._has_lost_queue = True
                    work = arq.poll(self._runner, self._scheduler)
                    await self._run_until_stop(work, _CLOSE_TIMEOUT)
                    with suppress(TimeoutError):
                        await asyncio.wait_for(self._stop.wait(), arq.POLL_INTERVAL)
        finally:
            elapsed = max(0.0, monotonic() - self._stopped_at)
            await self._runner.stop(max(0.0, DRAIN_TIMEOUT - elapsed))
            with suppress(TimeoutError):  # the system closes connections to a database that hangs
                await asyncio.wait_for(self._database.close(), _CLOSE_TIMEOUT)
            _logger.info("worker stopped")

    async def _run_arq(self) -> None:
        """Run arq until it loses Redis, which raises, or until stopped."""
        redis = create_redis_client(self._settings, timeout=_REDIS_TIMEOUT)
        worker = arq.build_arq_worker(self._settings, redis, self._runner, self._scheduler)
        try:
            await self._run_until_stop(self._serve_queue(worker, redis), 0)
        finally:
            await self._close(worker, redis)

    async def _serve_queue(self, worker: Worker, redis: ArqRedis) -> None:
        """Run arq; after an outage of Redis, only once Redis accepts writes again."""
        if self._has_lost_queue:
            if refusal := await find_write_error(redis, self._settings.queue_name):
                raise ResponseError(refusal)
            _logger.info("queue usable again")
            self._has_lost_queue = False
        await worker.async_run()

    async def _run_until_stop(self, work: Coroutine[Any, Any, None], grace: float) -> None:
        """Run a coroutine until it ends, which may raise, or until stopped.

        After the stop it may go on for `grace` seconds; then it is cancelled.
        """
        task = asyncio.create_task(work)
        stop = asyncio.create_task(self._stop.wait())
        try:
            await asyncio.wait([task, stop], return_when=asyncio.FIRST_COMPLETED)
            await asyncio.wait([task], timeout=grace)
            if task.done():
                await task
        finally:
            await _cancel(task, stop)

    async def _close(self, worker: Worker, redis: ArqRedis) -> None:
        """End arq's functions and connections; `Worker.close` calls deprecated redis-py methods."""
        if worker.tasks:
            _, slow = await asyncio.wait(worker.tasks.values(), timeout=_REDIS_TIMEOUT)
            if slow:
                await _cancel(*slow)
        with suppress(RedisError, OSError, TimeoutError):
            async with asyncio.timeout(_CLOSE_TIMEOUT):
                await redis.delete(worker.health_check_key)
        with suppress(RedisError, OSError, TimeoutError):
            async with asyncio.timeout(_CLOSE_TIMEOUT):
                await redis.aclose(close_connection_pool=True)


async def _cancel(*tasks: asyncio.Task[Any]) -> None:
    """Cancel tasks until they end, within `_CLOSE_TIMEOUT`; ignore their errors.

    A call of Redis may hide a cancellation, see `app.redis`. Its task would go on to poll, and
    leave connections open.
    """
    for _ in range(_CANCELLATIONS):
        for task in tasks:
            task.cancel()
        _, running = await asyncio.wait(tasks, timeout=_CLOSE_TIMEOUT / _CANCELLATIONS)
        if not running:
            break
    for task in tasks:
        if task.done() and not task.cancelled():
            task.exception()  # asyncio logs an error that was not read


async def run_worker(settings: Settings) -> None:
    """Run a worker until SIGTERM or SIGINT."""
    process = WorkerProcess(settings)
    loop = asyncio.get_running_loop()
    signals = ShutdownSignals()
    for number in (signal.SIGTERM, signal.SIGINT):
        signals.handle(number, lambda: loop.call_soon_threadsafe(process.stop))
    # arq logs every poll of the outbox; the jobs log their own outcomes.
    logging.getLogger("arq").setLevel(logging.WARNING)
    await process.run()


async def is_alive(settings: Settings) -> bool:
    """Return whether a worker has renewed its health check key within half a minute."""
    redis = create_redis_client(settings, timeout=_REDIS_TIMEOUT)
    try:
        return bool(await redis.exists(arq.health_check_key(settings)))
    except (RedisError, OSError):
        return False
    finally:
        await redis.aclose(close_connection_pool=True)
