"""Whether the process has started, lives, and can answer requests.

Probes are for whoever sends requests or restarts processes. They answer in little more than two
seconds, whatever the database does, and a process that is merely busy passes: to take it out would
leave its load to others that are as busy.
"""

import asyncio
from enum import StrEnum
from typing import Annotated, Final, cast

from fastapi import APIRouter, Depends, Request, Response
from redis.asyncio import Redis
from redis.exceptions import RedisError
from sqlalchemy import text
from sqlalchemy.exc import ProgrammingError

from app.api.json_response import json_response
from app.database.engine import Database
from app.database.errors import ConnectionLost, DatabaseUnavailable
from app.database.migration import is_current
from app.database.read_only import read_only_reason
from app.redis import find_write_error
from app.settings import Settings
from app.shutdown import DRAINING

DATABASE_TIMEOUT: Final = 2.0
"""Seconds that the database may take to answer: one that hangs is of no use to a request."""
REDIS_TIMEOUT: Final = 1.0
"""Seconds that Redis may take to answer."""
_LATELY: Final = 5.0
"""Seconds for which an answer to a request shows that the database can answer."""


class DatabaseState(StrEnum):
    """What a probe finds of the database."""

    OK = "ok"
    BUSY = "busy"
    """The probe got no answer, but requests do."""
    READ_ONLY = "read-only"
    """Reads are answered; changes are not, for now."""
    NOT_MIGRATED = "not migrated"
    UNREACHABLE = "unreachable"


_SERVED: Final = (DatabaseState.OK, DatabaseState.BUSY, DatabaseState.READ_ONLY)


class Readiness:
    """Finds out whether requests can be served, on a connection that no request waits for."""

    def __init__(self, settings: Settings, database: Database) -> None:
        self._requests = database
        self._own = Database(settings.model_copy(update={"database_pool_size": 1}))
        self._redis_url = settings.redis_url
        self._queue_name = settings.queue_name
        self.started = False
        """Whether the database has once been there, and migrated."""

    async def database(self) -> DatabaseState:
        """Return what is found of the database."""
        try:
            async with asyncio.timeout(DATABASE_TIMEOUT):
                try:
                    revisions, is_read_only = await self._look()
                except ConnectionLost:  # it was kept since the last probe: a new one tells
                    revisions, is_read_only = await self._look()
        except (DatabaseUnavailable, TimeoutError):
            # All connections may be taken, at a pooler or at the server, and each do its work.
            busy = self.started and self._requests.succeeded_within(_LATELY)
            return DatabaseState.BUSY if busy else DatabaseState.UNREACHABLE
        except ProgrammingError:  # the table is not there
            return DatabaseState.NOT_MIGRATED
        if not is_current(revisions):
            return DatabaseState.NOT_MIGRATED
        self.started = True
        return DatabaseState.READ_ONLY if is_read_only else DatabaseState.OK

    async def _look(self) -> tuple[set[str], bool]:
        """Return the revisions of the database, and whether it takes no changes."""
        async with self._own.reading() as connection:
            found = await connection.execute(text("SELECT version_num FROM alembic_version"))
            revisions = set(found.scalars())
            return revisions, bool(await read_only_reason(connection))

    async def redis(self) -> str:
        """Return whether Redis does its part: `ok`, `refuses writes` or `unreachable`."""
        client = Redis.from_url(
            self._redis_url, socket_connect_timeout=REDIS_TIMEOUT, socket_timeout=REDIS_TIMEOUT
        )
        try:
            async with asyncio.timeout(REDIS_TIMEOUT):
                refusal = await find_write_error(client, self._queue_name)
        except (RedisError, OSError, TimeoutError):
            return "unreachable"
        finally:
            await client.aclose()
        return "refuses writes" if refusal else "ok"

    async def aclose(self) -> None:
        """Close the connection."""
        await self._own.close()


async def _readiness(request: Request) -> Readiness:
    return cast(Readiness, request.app.state.readiness)


CurrentReadiness = Annotated[Readiness, Depends(_readiness)]
router = APIRouter(prefix="/health", include_in_schema=False)


@router.api_route("/live", methods=["GET", "HEAD"])
async def live() -> Response:
    """Tell that the process answers."""
    return json_response({"status": "ok"})


@router.api_route("/startup", methods=["GET", "HEAD"])
async def startup(readiness: CurrentReadiness) -> Response:
    """Tell whether the process has once been able to serve: 200 for good after that."""
    if not readiness.started:
        state = await readiness.database()
        if state not in _SERVED:
            return json_response({"status": "starting", "database": state}, 503)
    return json_response({"status": "ok"})


@router.api_route("/ready", methods=["GET", "HEAD"])
async def ready(request: Request, readiness: CurrentReadiness) -> Response:
    """Tell whether requests should be sent here: the database answers and is migrated.

    Where it takes no changes, reads are answered. Redis is reported but not needed: what must be
    done stands in the database until then, and is found there a little later.
    """
    if getattr(request.state, DRAINING, False):
        return json_response({"status": "draining"}, 503)
    database, redis = await asyncio.gather(readiness.database(), readiness.redis())
    served = database in _SERVED
    is_whole = redis == "ok" and database is not DatabaseState.READ_ONLY
    status = "unavailable" if not served else "ok" if is_whole else "degraded"
    body = {"status": status, "database": database, "redis": redis}
    return json_response(body, 200 if served else 503)
