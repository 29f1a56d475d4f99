"""The arq queue on Redis that notifies the worker of new outbox entries; jobs are JSON."""

from functools import partial
from typing import Final

from arq.connections import ArqRedis
from pydantic_core import from_json, to_json

from app.redis import connection_pool
from app.settings import Settings

RUN_DUE_JOBS = "relay"
"""The arq function that starts the due jobs of the outbox. Releases share the name on Redis."""


serialize: Final = partial(to_json, fallback=repr)
"""Encodes an arq job or its result as JSON; values that JSON lacks become their repr."""


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
