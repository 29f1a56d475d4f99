"""Telling the worker, after a commit, that the outbox has something for it.

Only speed depends on it: what is not heard is found by the worker's next look at the outbox.
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
"""Seconds that a nudge may take."""
BACKOFF = 5.0
"""Seconds without further nudges after one failed."""

_logger = get_logger(__name__)


class Notifier:
    """Nudges the worker; never raises, and hardly slows a request, where Redis is away."""

    def __init__(self, settings: Settings) -> None:
        self._redis = create_redis_client(settings, timeout=NOTIFY_TIMEOUT)
        self._job_id = f"{settings.queue_name}:{RUN_DUE_JOBS}"
        self._resting_until: float | None = None

    async def __call__(self) -> None:
        """Ask for a look at the outbox; a no-op while one is asked for already."""
        failed_before = self._resting_until is not None
        if self._resting_until is not None and monotonic() < self._resting_until:
            return
        # While it is not known that Redis is back, one call at a time finds out.
        self._resting_until = monotonic() + BACKOFF if failed_before else None
        try:
            with reraise_cancellation():
                async with asyncio.timeout(NOTIFY_TIMEOUT):
                    await self._redis.enqueue_job(RUN_DUE_JOBS, _job_id=self._job_id)
        except (RedisError, OSError, TimeoutError) as error:
            self._resting_until = monotonic() + BACKOFF
            if not failed_before:
                _logger.warning("queue unusable", error=describe_error(error))
        else:
            self._resting_until = None
            if failed_before:
                _logger.info("queue usable again")

    async def aclose(self) -> None:
        """Close the connections to Redis."""
        with suppress(RedisError, OSError, TimeoutError):
            async with asyncio.timeout(NOTIFY_TIMEOUT):
                await self._redis.aclose(close_connection_pool=True)
