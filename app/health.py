"""The state of the database and of Redis, as the probes report it."""

import asyncio
from enum import StrEnum
from typing import Final

from redis.asyncio import Redis
from redis.exceptions import RedisError
from sqlalchemy import text
from sqlalchemy.exc import ProgrammingError

from app.database.engine import Database
from app.database.errors import ConnectionLost, DatabaseUnavailable, NoMatchingHost
from app.database.replication import ReadOnlyReason, read_only_reason
from app.database.revisions import is_current
from app.redis import connection_pool, find_write_error
from app.settings import Settings

DATABASE_TIMEOUT: Final = 2.0
"""Seconds that the database may take to answer; one that hangs cannot serve requests."""
REDIS_TIMEOUT: Final = 1.0
"""Seconds that Redis may take to answer."""
_RECENT_SECONDS: Final = 5.0
"""A statement of a request that succeeded this recently shows that the database answers."""


class DatabaseState(StrEnum):
    """The state of the database."""

    OK = "ok"
    BUSY = "busy"
    """The probe got no answer, but requests did."""
    READ_ONLY = "read-only"
    """An operator has made the primary read-only."""
    STANDBY = "standby"
    """The connected server follows another one, so it refuses changes and may lag behind."""
    NO_PRIMARY = "no primary"
    """Of several hosts some answer, but none accepts changes."""
    NOT_MIGRATED = "not migrated"
    UNREACHABLE = "unreachable"


_STATES: Final = {
    ReadOnlyReason.STANDBY: DatabaseState.STANDBY,
    ReadOnlyReason.SETTING: DatabaseState.READ_ONLY,
}


class Readiness:
    """Asks the database and Redis for their state, on connections that no request waits for."""

    def __init__(self, settings: Settings, database: Database) -> None:
        self._requests = database
        self._own = Database(settings.model_copy(update={"database_pool_size": 1}))
        self._settings = settings
        self.started = False
        """Whether the database has been usable once."""

    async def database(self) -> DatabaseState:
        """Return the state of the database."""
        try:
            async with asyncio.timeout(DATABASE_TIMEOUT):
                try:
                    revisions, reason = await self._query_state()
                except ConnectionLost:  # the idle connection was closed: the second is new
                    revisions, reason = await self._query_state()
        except NoMatchingHost:
            return DatabaseState.NO_PRIMARY
        except (DatabaseUnavailable, TimeoutError):
            # All connections of a pooler or of the server may be in use by requests.
            busy = self.started and self._requests.succeeded_within(_RECENT_SECONDS)
            return DatabaseState.BUSY if busy else DatabaseState.UNREACHABLE
        except ProgrammingError:  # the table does not exist
            return DatabaseState.NOT_MIGRATED
        if not is_current(revisions):
            return DatabaseState.NOT_MIGRATED
        self.started = True
        return DatabaseState.OK if reason is None else _STATES[reason]

    async def _query_state(self) -> tuple[set[str], ReadOnlyReason | None]:
        """Return the revisions of the database, and why it is read-only, if it is."""
        async with self._own.reading() as connection:
            revisions = await connection.execute(text("SELECT version_num FROM alembic_version"))
            return set(revisions.scalars()), await read_only_reason(connection)

    async def redis(self) -> str:
        """Return the state of Redis: `ok`, `refuses writes` or `unreachable`."""
        client = Redis.from_pool(connection_pool(self._settings, timeout=REDIS_TIMEOUT))
        try:
            async with asyncio.timeout(REDIS_TIMEOUT):
                error = await find_write_error(client, self._settings.queue_name)
        except (RedisError, OSError, TimeoutError):
            return "unreachable"
        finally:
            await client.aclose()
        return "refuses writes" if error else "ok"

    async def aclose(self) -> None:
        """Close the connection to the database."""
        await self._own.close()
