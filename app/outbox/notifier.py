"""Notifies the worker, after a commit, that the outbox has a new entry.

A lost notification only costs time: the worker polls the outbox, too. The queue on Redis is arq's;
its jobs are JSON.
"""

import asyncio
from contextlib import suppress
from functools import partial
from typing import Final

from arq.connections import ArqRedis
from pydantic_core import from_json, to_json
from redis.exceptions import RedisError

from app.logging import get_logger
from app.redis import CircuitBreaker, RedisUnavailable, connection_pool
from app.settings import Settings

RUN_DUE_JOBS = "relay"
"""The arq function that starts the due jobs of the outbox. Releases share the name on Redis."""
NOTIFY_TIMEOUT = 0.3
"""Seconds that one notification may take."""
serialize: Final = partial(to_json, fallback=repr)
"""Encodes an arq job or its result as JSON; values that JSON lacks become their repr."""

_logger = get_logger(__name__)


def create_redis_client(settings: Settings, *, timeout: float) -> ArqRedis:
    """Return a client of the queue. It connects on first use, and reconnects when needed.

    A call fails if the server does not answer within `timeout` seconds.
    """
    return ArqRedis(
        connection_pool(settings, timeout=timeout),
        job_serializer=serialize,
        job_deserializer=from_json,
        default_queue_name=settings.queue_name,
    )


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
