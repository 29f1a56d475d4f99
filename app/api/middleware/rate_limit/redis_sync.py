"""What processes tell each other of what they have counted, through Redis, behind the requests.

No request waits for it. While Redis is away each process counts for itself.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

from redis.asyncio import Redis
from redis.exceptions import RedisError

from app.api.middleware.rate_limit.counting import Limit, Share, learn
from app.cancellation import reraise_cancellation
from app.logging import describe_error, get_logger
from app.settings import Settings

INTERVAL: Final = 0.2
"""Seconds between two exchanges: so long may a process not know what another has let in."""
PATIENCE: Final = 1.0
"""Seconds that one exchange may take."""
REST: Final = 5.0
"""Seconds without exchanges after one failed."""
_BATCH: Final = 500

_logger = get_logger(__name__)


class Sharing:
    """Exchanges the counts of limits; never raises where Redis is away."""

    def __init__(self, settings: Settings, limits: Sequence[Limit]) -> None:
        self._redis = Redis.from_url(
            settings.redis_url, socket_timeout=PATIENCE, socket_connect_timeout=PATIENCE
        )
        self._prefix = f"{settings.queue_name}:"
        self._limits = limits
        self._failed = False

    async def run(self) -> None:
        """Exchange what was counted, again and again, until cancelled."""
        while True:
            await asyncio.sleep(REST if self._failed else INTERVAL)
            await self.exchange()

    async def exchange(self) -> None:
        """Tell what was counted since the last time, and take in what all have counted."""
        # Taken at once, of all limits: what cannot be told is not kept until it can.
        shares = [(share, 2 * limit.seconds) for limit in self._limits for share in limit.shares()]
        if not shares:
            return
        try:
            with reraise_cancellation():
                async with asyncio.timeout(PATIENCE):
                    for start in range(0, len(shares), _BATCH):
                        await self._exchange(shares[start : start + _BATCH])
        except (RedisError, OSError, TimeoutError) as error:
            if not self._failed:
                # Its message may quote the command, and so the key: an address, or half a digest.
                _logger.warning("rate limits not shared", error=describe_error(error))
            self._failed = True
        else:
            if self._failed:
                _logger.info("rate limits shared again")
            self._failed = False

    async def _exchange(self, shares: Sequence[tuple[Share, int]]) -> None:
        async with self._redis.pipeline(transaction=False) as pipeline:
            for share, lifetime in shares:
                # Its end is set with its start: whatever breaks, no key stays for good.
                pipeline.set(self._prefix + share.current, 0, ex=lifetime, nx=True)
                pipeline.incrby(self._prefix + share.current, share.amount)
                if share.asks:
                    pipeline.get(self._prefix + share.previous)
            results = iter(await pipeline.execute())
        for share, _ in shares:
            next(results)
            total = int(next(results))
            learn(share, total, int(next(results) or 0) if share.asks else None)

    async def aclose(self) -> None:
        """Close the connections to Redis."""
        with suppress(RedisError, OSError, TimeoutError):
            async with asyncio.timeout(PATIENCE):
                await self._redis.aclose(close_connection_pool=True)
