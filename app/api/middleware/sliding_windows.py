"""The sliding windows of the `limits` library: on Redis, and in memory while Redis fails."""

import asyncio
from contextlib import suppress
from time import time
from typing import Final

from limits import RateLimitItem, WindowStats
from limits.aio.storage import MemoryStorage, RedisStorage
from limits.aio.strategies import SlidingWindowCounterRateLimiter
from redis.exceptions import RedisError

from app.logging import get_logger
from app.redis import CircuitBreaker, RedisUnavailable, connection_pool
from app.settings import Settings

TIMEOUT: Final = 0.3
"""Seconds that Redis may take to count."""
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
        self._breaker = CircuitBreaker(
            _logger, failed="rate limits not shared", recovered="rate limits shared again"
        )

    async def add(self, rate: RateLimitItem, name: str, key: str, requests: int) -> WindowStats:
        """Count requests of a key of the limit `name`, and return what remains of the limit."""
        with suppress(RedisUnavailable):
            return await self._breaker.call(
                lambda: _add(self._redis, rate, name, key, requests), TIMEOUT
            )
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
