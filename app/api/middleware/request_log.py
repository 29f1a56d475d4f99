"""An id, a log line and a last resort for each request."""

import re
import time
from typing import Any
from uuid import UUID, uuid4

import structlog
from fastapi import Request
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.api.json_response import json_response
from app.api.operations import Operations
from app.logging import get_logger
from app.metrics.requests import REQUESTS_IN_PROGRESS, count_request

_logger = get_logger(__name__)
_GIVEN_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")


class RequestMiddleware:
    """Names each request, logs and counts how it ended, answers 500 to what nothing else caught.

    The id comes from `X-Request-ID` where that is well formed, is sent back as such, and stands
    with every line that is logged meanwhile.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection, as ASGI has it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given = Headers(scope=scope).get("x-request-id", "")
        request_id = given if _GIVEN_ID.fullmatch(given) else uuid4().hex
        status = 0
        started = time.perf_counter()

        async def named(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                headers["X-Request-ID"] = request_id
            await send(message)

        scope["app.request_id"] = request_id
        REQUESTS_IN_PROGRESS.inc()
        with structlog.contextvars.bound_contextvars(request_id=request_id):
            try:
                await self._app(scope, receive, named)
            except Exception:
                _logger.exception("request failed", **_told(scope))
                if status:  # too late for another answer: the connection is cut
                    raise
                await _server_error(request_id)(scope, receive, named)
            finally:
                seconds = time.perf_counter() - started
                told = _told(scope)
                count_request(told["operation"], scope["method"], status, seconds)
                REQUESTS_IN_PROGRESS.dec()
                _logger.info(
                    "request",
                    **told,
                    status=status or None,
                    milliseconds=round(seconds * 1000, 1),
                )


def request_id_of(request: Request) -> str:
    """Return the id that the request goes by in logs and records."""
    found: str = request.scope["app.request_id"]
    return found


def note_user(request: Request, user: UUID) -> None:
    """Let the log tell whose request it is, by what only the database makes a person of."""
    request.scope["app.user"] = user


def user_of(request: Request) -> UUID:
    """Return whose request it is; it must have been noted."""
    found: UUID = request.scope["app.user"]
    return found


def note_impersonator(request: Request, user: UUID) -> None:
    """Let the log tell who does the request as the user that is noted."""
    request.scope["app.impersonator"] = user


def safe_path(request: Request) -> str:
    """Return the request's path as logs tell it."""
    operations: Operations = request.app.state.operations
    return operations.path(request.scope)


def _told(scope: Scope) -> dict[str, Any]:
    operations: Operations = scope["app"].state.operations
    user = scope.get("app.user")
    told = {
        "operation": operations.name(scope),
        "method": scope["method"],
        "path": operations.path(scope),
        "user": None if user is None else str(user),
    }
    if impersonator := scope.get("app.impersonator"):
        told["impersonator"] = str(impersonator)
    return told


def _server_error(request_id: str) -> ASGIApp:
    detail = f"A server error occurred. It is in the log as request {request_id}."
    return json_response({"detail": detail}, status=500)
