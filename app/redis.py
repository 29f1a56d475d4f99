"""Connections to Redis."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from time import monotonic
from typing import Any, Final, TypeVar

from redis.asyncio import Redis
from redis.asyncio.connection import ConnectionPool
from redis.asyncio.sentinel import Sentinel, SentinelConnectionPool
from redis.exceptions import RedisError, ResponseError

from app.logging import describe_error
from app.server_urls import Host, SentinelUrl, sentinel_url
from app.settings import Settings

RETRY_AFTER: Final = 5.0
"""Seconds in which Redis is not used after it failed."""
_T = TypeVar("_T")


class RedisUnavailable(Exception):
    """Redis failed, now or less than `RETRY_AFTER` seconds ago."""


class CircuitBreaker:
    """Spares callers the wait for Redis while it fails: then one call at a time tries it again.

    It logs the first failure and the recovery, each as an event of the caller's logger.
    """

    def __init__(self, logger: Any, *, failed: str, recovered: str) -> None:
        self._logger = logger
        self._failed = failed
        self._recovered = recovered
        self._retry_at: float | None = None
        """When Redis is used again after it failed."""

    async def call(self, work: Callable[[], Awaitable[_T]], seconds: float) -> _T:
        """Return the result of calls to Redis that take at most `seconds`.

        Raises RedisUnavailable.
        """
        failed_before = self._retry_at is not None
        if self._retry_at is not None and monotonic() < self._retry_at:
            raise RedisUnavailable
        self._retry_at = monotonic() + RETRY_AFTER if failed_before else None
        try:
            with _reraise_cancellation():
                async with asyncio.timeout(seconds):
                    result = await work()
        except (RedisError, OSError, TimeoutError) as error:
            self._retry_at = monotonic() + RETRY_AFTER
            if not failed_before:
                # The message may quote a key: an address, or half of a digest.
                self._logger.warning(self._failed, error=describe_error(error))
            raise RedisUnavailable from error
        self._retry_at = None
        if failed_before:
            self._logger.info(self._recovered)
        return result


@contextmanager
def _reraise_cancellation() -> Iterator[None]:
    """Raise CancelledError at the end of the context if the current task was cancelled within it.

    On Python 3.11, redis-py (5.3 to 7.0) hides up to half of the cancellations of a task that waits
    for Redis: it raises its own TimeoutError or ConnectionError, or reconnects and continues. A
    loop that continues after errors of Redis would then never end. Enter the context outside of
    `asyncio.timeout`, which cancels the task itself.
    """
    try:
        yield
    finally:
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise asyncio.CancelledError


def connection_pool(settings: Settings, *, timeout: float) -> ConnectionPool:
    """Return a pool whose connections open when they are first used, and again when needed.

    If REDIS_URL names sentinels, they are asked for the master before a connection opens. A call on
    a connection raises an error if the server does not answer within `timeout` seconds.
    """
    url = sentinel_url(settings.redis_url)
    if url is not None:
        return _SentinelPool(url, timeout)
    return ConnectionPool.from_url(settings.redis_url, **_timeouts(timeout))


class _SentinelPool(SentinelConnectionPool):
    """Connections to the master that sentinels name, and to the sentinels."""

    def __init__(self, url: SentinelUrl, timeout: float) -> None:
        # One that hangs must leave time for the next one, and for the master.
        share = timeout / (len(url.sentinels) + 1)
        self._sentinels = Sentinel(  # type: ignore[no-untyped-call]  # redis has no types here
            [(host.name, host.port) for host in url.sentinels],
            sentinel_kwargs=_sentinel_options(url, share),
        )
        super().__init__(  # type: ignore[no-untyped-call]  # nor here
            url.service,
            self._sentinels,
            ssl=url.tls,
            db=url.database,
            username=url.username,
            password=url.password,
            **_timeouts(timeout),
        )

    async def disconnect(self, inuse_connections: bool = True) -> None:
        """Close the connections; those to the sentinels, too, unless some remain in use."""
        await super().disconnect(inuse_connections)
        if inuse_connections:
            for sentinel in self._sentinels.sentinels:
                await sentinel.aclose()


async def find_sentinel_problem(url: SentinelUrl, sentinel: Host, seconds: float) -> str:
    """Return why a sentinel does not know the master; an empty string if it does.

    It must answer within so many seconds.
    """
    client = Redis(host=sentinel.name, port=sentinel.port, **_sentinel_options(url, seconds))
    try:
        masters = await client.sentinel_masters()  # type: ignore[no-untyped-call]  # nor here
    except (RedisError, OSError) as error:
        return str(error)
    finally:
        await client.aclose()
    return "" if url.service in masters else f"it does not monitor {url.service}"


def _sentinel_options(url: SentinelUrl, timeout: float) -> dict[str, Any]:
    login = {"username": url.sentinel_username, "password": url.sentinel_password}
    return {**_timeouts(timeout), **login, "ssl": url.tls}


def _timeouts(seconds: float) -> dict[str, float]:
    return {"socket_timeout": seconds, "socket_connect_timeout": seconds}


async def find_write_error(redis: Redis, queue_name: str) -> str:
    """Return Redis's error if it refuses to write; else an empty string.

    A server that is full, cannot save its data, or is a replica still answers PING and every read.
    The key that this writes expires after a second.
    """
    try:
        await redis.set(f"{queue_name}:writable", 1, px=1000)
    except ResponseError as error:
        return str(error)
    return ""
