"""Errors of the API: one shape, with the messages of Django REST framework.

Wire code raises an `ApiError`. The layers below raise their own exceptions, which `api_error_of`
maps to a status and a documented body.
"""

from collections.abc import Iterable, Mapping
from math import ceil
from typing import Any, Final

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.routing import BaseRoute, Route

from app import domain_errors
from app.api.json_response import json_response
from app.database.errors import DatabaseUnavailable
from app.domain_errors import DomainError
from app.logging import describe_error, get_logger
from app.storage import StorageUnavailable

_logger = get_logger(__name__)
REQUIRED: Final = "This field is required."


_DETAIL_STATUSES: Final = (
    (domain_errors.PermissionDenied, 403),
    (domain_errors.NotFound, 404),
    (domain_errors.WrongState, 409),
    (domain_errors.LimitExceeded, 413),
    (domain_errors.InvalidArgument, 400),
)
"""The kinds of domain errors whose message is the detail, and their statuses."""


class ApiError(Exception):
    """An error response: a status, a JSON body and headers."""

    def __init__(self, status: int, body: Any, headers: dict[str, str] | None = None) -> None:
        super().__init__(f"{status}: {body}")
        self.status = status
        self.body = body
        self.headers = {**(headers or {})}


class InvalidFields(ApiError):
    """400: the errors of every invalid field or parameter.

    They are a list of messages, or for a list or an object the errors of its elements.
    """

    def __init__(self, fields: Mapping[str, Any]) -> None:
        super().__init__(400, fields)


class MalformedBody(ApiError):
    """400: the request body cannot be parsed."""

    def __init__(self, detail: str) -> None:
        super().__init__(400, {"detail": detail})


class NotAuthenticated(ApiError):
    """401: the token is missing or invalid."""

    def __init__(self, detail: str = "Authentication credentials were not provided.") -> None:
        super().__init__(401, {"detail": detail}, {"WWW-Authenticate": "Token"})


class PermissionDenied(ApiError):
    """403: the caller's role does not permit the operation."""

    def __init__(self) -> None:
        super().__init__(403, {"detail": "You do not have permission to perform this action."})


class NotFound(ApiError):
    """404: the resource does not exist, or the caller may not see it."""

    def __init__(self, detail: str = "Not found.") -> None:
        super().__init__(404, {"detail": detail})


class PreconditionFailed(ApiError):
    """412: the resource does not match `If-Match`."""

    def __init__(self, detail: str) -> None:
        super().__init__(412, {"detail": detail})


class TooLarge(ApiError):
    """413: the request body exceeds a limit."""

    def __init__(self, detail: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(413, {"detail": detail}, headers)


class UnsupportedMediaType(ApiError):
    """415: the operation does not accept this media type."""

    def __init__(self, media_type: str) -> None:
        super().__init__(415, {"detail": f'Unsupported media type "{media_type}" in request.'})


class Throttled(ApiError):
    """429: a rate limit is exceeded for so many seconds."""

    def __init__(self, seconds: float) -> None:
        wait = max(1, ceil(seconds))
        unit = "second" if wait == 1 else "seconds"
        detail = f"Request was throttled. Expected available in {wait} {unit}."
        super().__init__(429, {"detail": detail}, {"Retry-After": str(wait)})


def body_too_long(limit: int) -> str:
    """Return the message for a body of more than `limit` bytes."""
    return f"The request body is larger than {limit} bytes."


def install(app: FastAPI) -> None:
    """Register the exception handlers. The request log answers any other exception with 500."""
    for error in (
        ApiError,
        DomainError,
        RequestValidationError,
        DatabaseUnavailable,
        StorageUnavailable,
    ):
        app.add_exception_handler(error, _respond)
    app.add_exception_handler(HTTPException, _respond_to_http_exception)


def error_response(error: ApiError) -> Response:
    """Return the response for an error, for use outside a route."""
    return json_response(error.body, error.status, error.headers)


def api_error_of(error: Exception) -> ApiError:
    """Map an exception of any layer to its documented error."""
    detail = {"detail": str(error)}
    match error:
        case ApiError():
            api_error = error
        case RequestValidationError():
            api_error = InvalidFields(_messages_by_field(error.errors()))
        case domain_errors.RequestInProgress():
            api_error = ApiError(409, detail, {"Retry-After": "1"})
        case domain_errors.TemporarilyUnavailable():
            seconds = ceil(error.retry_after.total_seconds())
            api_error = ApiError(503, detail, {"Retry-After": str(seconds)})
        case domain_errors.UnmetRequirements():
            api_error = ApiError(409, {**detail, "problems": error.problems})
        case domain_errors.RuleViolation():
            api_error = ApiError(400, [str(error)])
        case domain_errors.InvalidField():
            api_error = InvalidFields({error.field: [str(error)]})
        case DomainError():
            statuses = (status for kind, status in _DETAIL_STATUSES if isinstance(error, kind))
            api_error = ApiError(next(statuses), detail)
        case DatabaseUnavailable():
            api_error = _unavailable("The database is not available now. Try again.")
        case StorageUnavailable():
            api_error = _unavailable("Proofs of payment are not available now. Try again.")
        case _:
            raise TypeError(f"{type(error).__name__} has no status") from error
    return api_error


def _unavailable(detail: str) -> ApiError:
    return ApiError(503, {"detail": detail}, {"Retry-After": "5"})


def _messages_by_field(errors: Iterable[Any]) -> dict[str, list[str]]:
    fields: dict[str, list[str]] = {}
    for error in errors:
        message = REQUIRED if error["type"] == "missing" else error["msg"]
        fields.setdefault(str(error["loc"][-1]), []).append(message)
    return fields


async def _respond(_request: Request, error: Exception) -> Response:
    if isinstance(error, DatabaseUnavailable):
        _logger.warning("database unavailable", reason=str(error))
    elif isinstance(error, StorageUnavailable):
        _logger.error("proofs unavailable", error=describe_error(error))
    return error_response(api_error_of(error))


async def _respond_to_http_exception(request: Request, error: Exception) -> Response:
    """Respond to an exception of Starlette: an unknown path, or a method that is not allowed."""
    assert isinstance(error, HTTPException)  # noqa: S101 - for the type checker
    details = {404: "Not found.", 405: f'Method "{request.method}" not allowed.'}
    headers = dict(error.headers or {})
    if error.status_code == 405:
        # If several routes share a path, the one that raised lists only its own methods.
        if allowed := allowed_methods(request.app.routes, request.url.path):
            headers["Allow"] = ", ".join(allowed)
        if request.method == "OPTIONS":
            return Response(status_code=204, headers=headers)
    detail = details.get(error.status_code, error.detail)
    return json_response({"detail": detail}, error.status_code, headers)


def allowed_methods(routes: Iterable[BaseRoute], path: str) -> list[str]:
    """Return the methods that all routes of a path serve, sorted; empty for an unknown path.

    A path that a route names literally has the methods of such routes only: `costs/` is no UUID.
    """
    methods: set[str] = set()
    literal: set[str] = set()
    for route in routes:
        if isinstance(route, Route) and route.methods and route.path_regex.match(path):
            chosen = literal if route.path == path else methods
            chosen |= {*route.methods, "OPTIONS"}
    return sorted(literal or methods)
