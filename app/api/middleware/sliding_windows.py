"""The sliding windows of the `limits` library: on Redis, and in memory while Redis fails."""

import asyncio
from contextlib import suppress
from time import monotonic, time
from typing import Final

from limits import RateLimitItem, WindowStats
from limits.aio.storage import MemoryStorage, RedisStorage
from limits.aio.strategies import SlidingWindowCounterRateLimiter
from redis.exceptions import RedisError

from app.cancellation import reraise_cancellation
from app.logging import describe_error, get_logger
from app.redis import connection_pool
from app.settings import Settings

TIMEOUT: Final = 0.3
"""Seconds that Redis may take to count."""
RETRY_AFTER: Final = 5.0
"""Seconds in which Redis is not used after it failed."""
MEMORY_MAX_KEYS: Final = 1000
"""Keys in memory, after which all are dropped: each use of the library's memory visits all keys."""

_logger = get_logger(__name__)


class SlidingWindows:
    """Counts requests in windows that all processes share; never fails and never waits for long."""

    def __init__(self, settings: Settings) -> None:
        self._pool = connection_pool(settings, timeout=TIMEOUT)
        storage = RedisStorage(
            "redis://",
            implementation="redispy",
            key_prefix=settings.queue_name,
            connection_pool=self._pool,  # type: ignore[arg-type]  # documented, but not in the type
        )
        self._redis = SlidingWindowCounterRateLimiter(storage)
        self._memory_storage = MemoryStorage()
        self._memory = SlidingWindowCounterRateLimiter(self._memory_storage)
        self._retry_at: float | None = None
        """When Redis is used again after it failed."""

    async def add(self, rate: RateLimitItem, name: str, key: str, requests: int) -> WindowStats:
        """Count requests of a key of the limit `name`, and return what remains of the limit."""
        failed_before = self._retry_at is not None
        if self._retry_at is None or monotonic() >= self._retry_at:
            # While Redis fails, one call at a time finds out whether it is back.
            self._retry_at = monotonic() + RETRY_AFTER if failed_before else None
            try:
                with reraise_cancellation():
                    async with asyncio.timeout(TIMEOUT):
                        stats = await _add(self._redis, rate, name, key, requests)
            except (RedisError, OSError, TimeoutError) as error:
                self._retry_at = monotonic() + RETRY_AFTER
                if not failed_before:
                    # The message may quote the key: an address, or half of a digest.
                    _logger.warning("rate limits not shared", error=describe_error(error))
            else:
                self._retry_at = None
                if failed_before:
                    _logger.info("rate limits shared again")
                return stats
        if len(self._memory_storage.storage) > MEMORY_MAX_KEYS:
            await self._memory_storage.reset()
        return await _add(self._memory, rate, name, key, requests)

    async def aclose(self) -> None:
        """Close the connections to Redis."""
        with suppress(RedisError, OSError, TimeoutError):
            async with asyncio.timeout(TIMEOUT):
                await self._pool.aclose()


async def _add(
    limiter: SlidingWindowCounterRateLimiter,
    rate: RateLimitItem,
    name: str,
    key: str,
    requests: int,
) -> WindowStats:
    if requests and not await limiter.hit(rate, name, key, cost=requests):
        # Other processes left less than that, and the library counts all of it or nothing.
        left = (await limiter.get_window_stats(rate, name, key)).remaining
        if left:
            await limiter.hit(rate, name, key, cost=min(left, requests))
    stats = await limiter.get_window_stats(rate, name, key)
    if not stats.remaining and stats.reset_time <= time():
        # In the first millisecond of a window the library says that it ends now.
        await asyncio.sleep(0.002)
        stats = await limiter.get_window_stats(rate, name, key)
    return stats
