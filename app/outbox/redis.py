"""How the outbox's nudges travel: an arq queue on Redis, with jobs as JSON."""

import json
from typing import Any

from arq.connections import ArqRedis
from redis.asyncio import Redis
from redis.asyncio.connection import ConnectionPool
from redis.exceptions import ResponseError

from app.settings import Settings

RUN_DUE_JOBS = "relay"
"""The worker's function that runs what is due in the outbox."""


def serialize(job: dict[str, Any]) -> bytes:
    """Write a job or its result; what JSON does not know is told in words."""
    return json.dumps(job, default=repr).encode()


def deserialize(job: bytes) -> dict[str, Any]:
    """Read a job or its result."""
    found: dict[str, Any] = json.loads(job)
    return found


def create_redis_client(settings: Settings, *, timeout: float) -> ArqRedis:
    """Return a client of the queue, which connects when it is first used, and again when needed.

    A server that does not answer for `timeout` seconds ends a call with an error.
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
    """Return what Redis says where it refuses to write; empty where it does not.

    One that is full, that cannot save its data, or that is a replica answers a PING and every
    reading all the same. What is written here is gone after a second.
    """
    try:
        await redis.set(f"{queue_name}:writable", 1, px=1000)
    except ResponseError as error:
        return str(error)
    return ""
