"""The outermost middleware: request id, log line, metrics, security headers, and HEAD.

Logs and metrics show operations and paths in known words only. A client may write anything into a
path, even a name or a token.
"""

import re
import time
from collections.abc import Callable, Sequence
from typing import Any, Final
from uuid import UUID, uuid4

from fastapi import Request
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from structlog.contextvars import bound_contextvars

from app.api.json_response import json_response
from app.api.middleware.proxy_headers import find_origin
from app.api.middleware.security_headers import missing_headers
from app.formats import UUID_FORMAT
from app.logging import get_logger
from app.metrics.requests import METHODS, OTHER_METHOD, REQUESTS_IN_PROGRESS, request_series
from app.settings import Network

NO_OPERATION: Final = "none"
"""The name of a request without an operation: an unknown path, or a method not allowed."""
_HIDDEN: Final = "*"
_REQUEST_ID: Final = re.compile(rb"[A-Za-z0-9._-]{1,64}")

_logger = get_logger(__name__)


class Operations:
    """The operations of an application that has all its routes."""

    def __init__(self, routes: Sequence[BaseRoute]) -> None:
        served = [route for route in routes if isinstance(route, Route)]
        ids = {
            (route.endpoint, method): operation_id
            for route in served
            for method in route.methods or ()
            if (operation_id := getattr(route, "operation_id", None))
        }
        # A HEAD without an operation of its own counts as the GET of the same endpoint.
        self._names: dict[tuple[Callable[..., Any] | None, str], str] = {
            (route.endpoint, method): ids.get((route.endpoint, method))
            or ids.get((route.endpoint, "GET"))
            or route.name
            or NO_OPERATION
            for route in served
            for method in route.methods or ()
        }
        self._words = {word for route in served for word in route.path.split("/")}

    def path(self, scope: Scope) -> str:
        """Return a request's path with `*` for each part that is neither of a route nor a UUID."""
        path: str = scope["path"]
        return "/".join(
            part if part in self._words or UUID_FORMAT.fullmatch(part) else _HIDDEN
            for part in path.split("/")
        )

    def log_fields(self, scope: Scope) -> dict[str, Any]:
        """Return what the log shows of a request; `operation` is its OpenAPI operation id."""
        user = scope.get("app.user")
        fields = {
            "operation": self._names.get((scope.get("endpoint"), scope["method"]), NO_OPERATION),
            "method": scope["method"],
            "path": self.path(scope),
            "user": None if user is None else str(user),
        }
        if impersonator := scope.get("app.impersonator"):
            fields["impersonator"] = str(impersonator)
        return fields


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
        scope["app.origin"] = origin = find_origin(scope, self._trusted_proxies)
        is_https = origin.base.startswith("https:")
        given = next((value for name, value in scope["headers"] if name == b"x-request-id"), b"")
        request_id = given.decode() if _REQUEST_ID.fullmatch(given) else uuid4().hex
        scope["app.request_id"] = request_id
        operations: Operations = scope["app"].state.operations
        is_head = scope["method"] == "HEAD"
        status = 0
        started = time.perf_counter()

        async def send_response(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = message["headers"]
                names = frozenset(name for name, _ in headers)
                headers = [
                    *headers,
                    *missing_headers(names, is_https=is_https),
                    (b"x-request-id", request_id.encode()),
                ]
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
                _logger.exception("request failed", **operations.log_fields(scope))
                if status:  # too late for another response: the connection is closed
                    raise
                detail = f"A server error occurred. It is in the log as request {request_id}."
                response = json_response({"detail": detail}, status=500)
                await response(scope, receive, send_response)
            finally:
                seconds = time.perf_counter() - started
                fields = operations.log_fields(scope)
                method = scope["method"] if scope["method"] in METHODS else OTHER_METHOD
                requests, durations = request_series(fields["operation"], method, status)
                requests.inc()
                durations.observe(seconds)
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
