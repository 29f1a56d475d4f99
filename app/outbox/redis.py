"""The arq queue on Redis that notifies the worker of new outbox entries; jobs are JSON."""

import json
from typing import Any

from arq.connections import ArqRedis

from app.redis import connection_pool
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
    return ArqRedis(
        connection_pool(settings, timeout=timeout),
        job_serializer=serialize,
        job_deserializer=deserialize,
        default_queue_name=settings.queue_name,
    )
