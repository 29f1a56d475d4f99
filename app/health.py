"""Whether the process lives, and whether it can answer requests."""

import asyncio
from functools import cache
from pathlib import Path

from alembic.script import ScriptDirectory
from fastapi import APIRouter, Response
from redis.asyncio import Redis
from redis.exceptions import RedisError
from sqlalchemy import text
from sqlalchemy.exc import ProgrammingError

from app.database.engine import Database
from app.database.failures import DatabaseUnavailable
from app.http.dependencies import CurrentDatabase, CurrentSettings
from app.http.json import json_response

MIGRATIONS = Path(__file__).parent.parent / "migrations"
DATABASE_TIMEOUT = 2.0
"""Seconds that the database may take to answer: one that hangs is of no use to a request."""
REDIS_TIMEOUT = 1.0
"""Seconds that Redis may take to answer."""

router = APIRouter(prefix="/health", include_in_schema=False)


@router.api_route("/live", methods=["GET", "HEAD"])
async def live() -> Response:
    """Tell that the process answers."""
    return json_response({"status": "ok"})


@router.api_route("/ready", methods=["GET", "HEAD"])
async def ready(database: CurrentDatabase, settings: CurrentSettings) -> Response:
    """Tell whether requests can be served: the database answers and is migrated.

    Redis is reported but not needed: what must be done stands in the database until then.
    """
    state = await _database_state(database)
    body = {
        "status": "ok" if state == "ok" else "unavailable",
        "database": state,
        "redis": await _redis_state(settings.redis_url),
    }
    return json_response(body, 200 if state == "ok" else 503)


@cache
def _outdated() -> frozenset[str]:
    scripts = ScriptDirectory(str(MIGRATIONS))
    heads = set(scripts.get_heads())
    return frozenset(s.revision for s in scripts.walk_revisions()) - heads


async def _database_state(database: Database) -> str:
    try:
        async with asyncio.timeout(DATABASE_TIMEOUT), database.reading() as connection:
            found = await connection.execute(text("SELECT version_num FROM alembic_version"))
            revisions = set(found.scalars())
    except (DatabaseUnavailable, TimeoutError):
        return "unreachable"
    except ProgrammingError:  # the table is not there
        return "not migrated"
    # A revision that is not known here is of a newer release, whose changes must suit this one.
    return "not migrated" if not revisions or revisions & _outdated() else "ok"


async def _redis_state(url: str) -> str:
    client = Redis.from_url(url, socket_connect_timeout=REDIS_TIMEOUT, socket_timeout=REDIS_TIMEOUT)
    try:
        await client.ping()
    except (RedisError, OSError):
        return "unreachable"
    finally:
        await client.aclose()
    return "ok"
