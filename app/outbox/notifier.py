"""Notifies the worker, after a commit, that the outbox has a new entry.

A lost notification only costs time: the worker polls the outbox, too.
"""

import asyncio
from contextlib import suppress

from redis.exceptions import RedisError

from app.logging import get_logger
from app.outbox.redis import RUN_DUE_JOBS, create_redis_client
from app.redis import CircuitBreaker, RedisUnavailable
from app.settings import Settings

NOTIFY_TIMEOUT = 0.3
"""Seconds that one notification may take."""

_logger = get_logger(__name__)


class Notifier:
    """Notifies the worker. Never raises, and delays a request by at most `NOTIFY_TIMEOUT`."""

    def __init__(self, settings: Settings) -> None:
        self._redis = create_redis_client(settings, timeout=NOTIFY_TIMEOUT)
        self._job_id = f"{settings.queue_name}:{RUN_DUE_JOBS}"
        self._breaker = CircuitBreaker(
            _logger, failed="queue unusable", recovered="queue usable again"
        )

    async def notify_worker(self) -> None:
        """Ask the worker to run due jobs; does nothing if the request is queued already."""
        with suppress(RedisUnavailable):
            await self._breaker.call(
                lambda: self._redis.enqueue_job(RUN_DUE_JOBS, _job_id=self._job_id), NOTIFY_TIMEOUT
            )

    async def aclose(self) -> None:
        """Close the connections to Redis."""
        with suppress(RedisError, OSError, TimeoutError):
            async with asyncio.timeout(NOTIFY_TIMEOUT):
                await self._redis.aclose(close_connection_pool=True)
