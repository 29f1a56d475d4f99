"""An id, a log line and a last resort for each request."""

import re
import time
from uuid import uuid4

import structlog
from fastapi import Request
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app import log
from app.http.json import json_response

_logger = log.get(__name__)
_GIVEN_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")


class RequestMiddleware:
    """Names each request, logs how it ended, and answers 500 to what nothing else caught.

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
        with structlog.contextvars.bound_contextvars(request_id=request_id):
            try:
                await self._app(scope, receive, named)
            except Exception:
                _logger.exception("request failed", method=scope["method"], path=scope["path"])
                if status:  # too late for another answer: the connection is cut
                    raise
                await _server_error(request_id)(scope, receive, named)
            finally:
                _logger.info(
                    "request",
                    method=scope["method"],
                    path=scope["path"],
                    status=status or None,
                    milliseconds=round((time.perf_counter() - started) * 1000, 1),
                )


def request_id_of(request: Request) -> str:
    """Return the id that the request goes by in logs and records."""
    found: str = request.scope["app.request_id"]
    return found


def _server_error(request_id: str) -> ASGIApp:
    detail = f"A server error occurred. It is in the log as request {request_id}."
    return json_response({"detail": detail}, status=500)
