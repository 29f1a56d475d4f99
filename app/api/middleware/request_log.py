"""The outermost middleware: request id, log line, metrics, security headers, and HEAD."""

import re
import time
from collections.abc import Sequence
from typing import Any, Final
from uuid import UUID, uuid4

from fastapi import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from structlog.contextvars import bound_contextvars

from app.api.json_response import json_response
from app.api.middleware.proxy_headers import find_origin
from app.api.middleware.security_headers import with_security_headers
from app.api.operations import Operations
from app.logging import get_logger
from app.metrics.requests import REQUESTS_IN_PROGRESS, count_request
from app.settings import Network

_REQUEST_ID: Final = re.compile(rb"[A-Za-z0-9._-]{1,64}")

_logger = get_logger(__name__)


class RequestLogMiddleware:
    """Logs and counts each request, and answers 500 to exceptions that nothing else handles.

    The request id is a well-formed `X-Request-ID`, or a new one. It is sent back, and is part of
    every line that is logged during the request. Every response gets the security headers.

    A response to HEAD has no `Content-Type`, errors included: published clients parse the body of
    any JSON response, and fail on an empty one.
    """

    def __init__(self, app: ASGIApp, trusted_proxies: Sequence[Network]) -> None:
        self._app = app
        self._trusted_proxies = tuple(trusted_proxies)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection, as ASGI has it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        origin = scope["app.origin"] = find_origin(scope, self._trusted_proxies)
        given = next((value for name, value in scope["headers"] if name == b"x-request-id"), b"")
        request_id = given.decode() if _REQUEST_ID.fullmatch(given) else uuid4().hex
        scope["app.request_id"] = request_id
        is_head = scope["method"] == "HEAD"
        status = 0
        started = time.perf_counter()

        async def send_response(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = with_security_headers(message["headers"], origin)
                headers.append((b"x-request-id", request_id.encode()))
                if is_head:
                    headers = [each for each in headers if each[0] != b"content-type"]
                message = {**message, "headers": headers}
            elif is_head and message["type"] == "http.response.body":
                message = {**message, "body": b""}
            await send(message)

        REQUESTS_IN_PROGRESS.inc()
        with bound_contextvars(request_id=request_id):
            try:
                await self._app(scope, receive, send_response)
            except Exception:
                _logger.exception("request failed", **_log_fields(scope))
                if status:  # too late for another response: the connection is closed
                    raise
                detail = f"A server error occurred. It is in the log as request {request_id}."
                response = json_response({"detail": detail}, status=500)
                await response(scope, receive, send_response)
            finally:
                seconds = time.perf_counter() - started
                fields = _log_fields(scope)
                count_request(fields["operation"], scope["method"], status, seconds)
                REQUESTS_IN_PROGRESS.dec()
                milliseconds = round(seconds * 1000, 1)
                _logger.info("request", **fields, status=status or None, milliseconds=milliseconds)


def request_id_of(request: Request) -> str:
    """Return the id of the request in logs and in the audit history."""
    request_id: str = request.scope["app.request_id"]
    return request_id


def set_user(request: Request, user: UUID) -> None:
    """Set the user whom the log names; a UUID identifies a person only with the database."""
    request.scope["app.user"] = user


def user_of(request: Request) -> UUID:
    """Return the user of the request, who must have been set."""
    user: UUID = request.scope["app.user"]
    return user


def set_impersonator(request: Request, user: UUID) -> None:
    """Set the member of staff who acts as the request's user, for the log."""
    request.scope["app.impersonator"] = user


def safe_path(request: Request) -> str:
    """Return the request's path as the log shows it."""
    operations: Operations = request.app.state.operations
    return operations.path(request.scope)


def _log_fields(scope: Scope) -> dict[str, Any]:
    operations: Operations = scope["app"].state.operations
    user = scope.get("app.user")
    fields = {
        "operation": operations.name(scope),
        "method": scope["method"],
        "path": operations.path(scope),
        "user": None if user is None else str(user),
    }
    if impersonator := scope.get("app.impersonator"):
        fields["impersonator"] = str(impersonator)
    return fields
