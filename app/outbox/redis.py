"""The arq queue on Redis that notifies the worker of new outbox entries; jobs are JSON."""

import json
from typing import Any

from arq.connections import ArqRedis
from redis.asyncio import Redis
from redis.asyncio.connection import ConnectionPool
from redis.exceptions import ResponseError

from app.settings import Settings

RUN_DUE_JOBS = "relay"
"""The arq function that starts the due jobs of the outbox. Releases share the name on Redis."""


def serialize(job: dict[str, Any]) -> bytes:
    """Encode an arq job or its result as JSON; values that JSON lacks become their repr."""
    return json.dumps(job, default=repr).encode()


def deserialize(job: bytes) -> dict[str, Any]:
    """Decode an arq job or its result."""
    decoded: dict[str, Any] = json.loads(job)
    return decoded


def create_redis_client(settings: Settings, *, timeout: float) -> ArqRedis:
    """Return a client of the queue. It connects on first use, and reconnects when needed.

    A call fails if the server does not answer within `timeout` seconds.
    """
    pool = ConnectionPool.from_url(
        settings.redis_url, socket_timeout=timeout, socket_connect_timeout=timeout
    )
    return ArqRedis(
        pool,
        job_serializer=serialize,
        job_deserializer=deserialize,
        default_queue_name=settings.queue_name,
    )


async def find_write_error(redis: Redis, queue_name: str) -> str:
    """Return the error with which Redis refuses writes; empty if it accepts them.

    A server that is full, cannot save its data, or is a replica still answers PING and reads. The
    key that is written here expires after a second.
    """
    try:
        await redis.set(f"{queue_name}:writable", 1, px=1000)
    except ResponseError as error:
        return str(error)
    return ""
