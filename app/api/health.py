"""The probes of a balancer or an orchestrator: startup, liveness and readiness.

They answer in little more than two seconds, whatever the database does. A busy process passes: to
take it out of service would move its load to others that are as busy.
"""

import asyncio
from typing import Annotated, Final, cast

from fastapi import APIRouter, Depends, Request, Response

from app.api.json_response import json_response
from app.health import DatabaseState, Readiness
from app.shutdown import DRAINING

_USABLE: Final = (DatabaseState.OK, DatabaseState.BUSY, DatabaseState.READ_ONLY)
_STARTED: Final = (*_USABLE, DatabaseState.STANDBY)


async def _readiness(request: Request) -> Readiness:
    return cast(Readiness, request.app.state.readiness)


CurrentReadiness = Annotated[Readiness, Depends(_readiness)]
router = APIRouter(prefix="/health", include_in_schema=False)


@router.api_route("/live", methods=["GET", "HEAD"])
async def live() -> Response:
    """Answer 200 while the process answers at all."""
    return json_response({"status": "ok"})


@router.api_route("/startup", methods=["GET", "HEAD"])
async def startup(readiness: CurrentReadiness) -> Response:
    """Answer 200 once the database has been reachable and migrated, and from then on always."""
    if not readiness.started:
        state = await readiness.database()
        if state not in _STARTED:
            return json_response({"status": "starting", "database": state}, 503)
    return json_response({"status": "ok"})


@router.api_route("/ready", methods=["GET", "HEAD"])
async def ready(request: Request, readiness: CurrentReadiness) -> Response:
    """Answer 200 while this process can serve requests: the database answers and is migrated.

    A database that an operator has made read-only still serves reads. A standby does not pass: its
    reads may be old, and another process may have reached the primary. Redis is reported but not
    required: without it jobs wait in the database and start a little later.
    """
    if getattr(request.state, DRAINING, False):
        return json_response({"status": "draining"}, 503)
    database, redis = await asyncio.gather(readiness.database(), readiness.redis())
    usable = database in _USABLE
    is_whole = redis == "ok" and database is not DatabaseState.READ_ONLY
    status = "unavailable" if not usable else "ok" if is_whole else "degraded"
    body = {"status": status, "database": database, "redis": redis}
    return json_response(body, 200 if usable else 503)
