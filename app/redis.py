"""Connections to Redis."""

from redis.asyncio import Redis
from redis.asyncio.connection import ConnectionPool
from redis.exceptions import ResponseError

from app.settings import Settings


def connection_pool(settings: Settings, *, timeout: float) -> ConnectionPool:
    """Return a pool whose connections open when they are first used, and again when needed.

    A call on a connection raises an error if the server does not answer within `timeout` seconds.
    """
    return ConnectionPool.from_url(
        settings.redis_url, socket_timeout=timeout, socket_connect_timeout=timeout
    )


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
