"""Notifies the worker, after a commit, that the outbox has a new entry.

A lost notification only costs time: the worker polls the outbox, too.
"""

import asyncio
from contextlib import suppress
from time import monotonic

from redis.exceptions import RedisError

from app.cancellation import reraise_cancellation
from app.logging import describe_error, get_logger
from app.outbox.redis import RUN_DUE_JOBS, create_redis_client
from app.settings import Settings

NOTIFY_TIMEOUT = 0.3
"""Seconds that one notification may take."""
BACKOFF = 5.0
"""Seconds without notifications after a failed one."""

_logger = get_logger(__name__)


class Notifier:
    """Notifies the worker. Never raises, and delays a request by at most `NOTIFY_TIMEOUT`."""

    def __init__(self, settings: Settings) -> None:
        self._redis = create_redis_client(settings, timeout=NOTIFY_TIMEOUT)
        self._job_id = f"{settings.queue_name}:{RUN_DUE_JOBS}"
        self._retry_at: float | None = None

    async def notify_worker(self) -> None:
        """Ask the worker to run due jobs; does nothing if the request is queued already."""
        failed_before = self._retry_at is not None
        if self._retry_at is not None and monotonic() < self._retry_at:
            return
        # After a failure, one call at a time tries Redis again.
        self._retry_at = monotonic() + BACKOFF if failed_before else None
        try:
            with reraise_cancellation():
                async with asyncio.timeout(NOTIFY_TIMEOUT):
                    await self._redis.enqueue_job(RUN_DUE_JOBS, _job_id=self._job_id)
        except (RedisError, OSError, TimeoutError) as error:
            self._retry_at = monotonic() + BACKOFF
            if not failed_before:
                _logger.warning("queue unusable", error=describe_error(error))
        else:
            self._retry_at = None
            if failed_before:
                _logger.info("queue usable again")

    async def aclose(self) -> None:
        """Close the connections to Redis."""
        with suppress(RedisError, OSError, TimeoutError):
            async with asyncio.timeout(NOTIFY_TIMEOUT):
                await self._redis.aclose(close_connection_pool=True)
