"""Errors as the API tells them: one shape, in Django REST framework's words.

Anything in the service raises an `ApiError`; `install` turns it, and whatever else goes wrong,
into a response.
"""

from collections.abc import Iterable
from math import ceil
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import iter_route_contexts
from starlette.exceptions import HTTPException
from starlette.routing import BaseRoute

from app import domain_errors
from app.api.json_response import json_response
from app.database.errors import DatabaseUnavailable
from app.disk import DiskUnavailable
from app.domain_errors import DomainError
from app.logging import describe_error, get_logger

_logger = get_logger(__name__)
RETRY_AFTER = "5"
"""Seconds after which a client may try again when the database or a disk was not to be had."""


class ApiError(Exception):
    """An answer other than success: a status, a JSON body, perhaps headers."""

    def __init__(self, status: int, body: Any, headers: dict[str, str] | None = None) -> None:
        super().__init__(f"{status}: {body}")
        self.status = status
        self.body = body
        self.headers = {**(headers or {})}


class InvalidFields(ApiError):
    """400: what is wrong with each field, all at once."""

    def __init__(self, fields: dict[str, list[str]]) -> None:
        super().__init__(400, fields)


class BrokenRule(ApiError):
    """400: a rule that is no field's."""

    def __init__(self, message: str) -> None:
        super().__init__(400, [message])


class MalformedBody(ApiError):
    """400: a body that does not parse."""

    def __init__(self, detail: str) -> None:
        super().__init__(400, {"detail": detail})


class NotAuthenticated(ApiError):
    """401: no token, or one that is not good."""

    def __init__(self, detail: str = "Authentication credentials were not provided.") -> None:
        super().__init__(401, {"detail": detail}, {"WWW-Authenticate": "Token"})


class PermissionDenied(ApiError):
    """403: the caller's role does not allow it."""

    def __init__(self) -> None:
        super().__init__(403, {"detail": "You do not have permission to perform this action."})


class NotFound(ApiError):
    """404: what does not exist, or not for this caller."""

    def __init__(self, detail: str = "Not found.") -> None:
        super().__init__(404, {"detail": detail})


class Conflict(ApiError):
    """409: the state does not allow it."""

    def __init__(self, detail: str) -> None:
        super().__init__(409, {"detail": detail})


class PreconditionFailed(ApiError):
    """412: what the request is about is not as the client knows it."""

    def __init__(self, detail: str) -> None:
        super().__init__(412, {"detail": detail})


class TooLarge(ApiError):
    """413: more than is taken."""

    def __init__(self, detail: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(413, {"detail": detail}, headers)


class UnsupportedMediaType(ApiError):
    """415: a body of a kind that the operation does not read."""

    def __init__(self, media_type: str) -> None:
        super().__init__(415, {"detail": f'Unsupported media type "{media_type}" in request.'})


class Throttled(ApiError):
    """429: more requests than are let in; says when to try again."""

    def __init__(self, seconds: float) -> None:
        wait = max(1, ceil(seconds))
        unit = "second" if wait == 1 else "seconds"
        detail = f"Request was throttled. Expected available in {wait} {unit}."
        super().__init__(429, {"detail": detail}, {"Retry-After": str(wait)})


def install(app: FastAPI) -> None:
    """Make the application answer with this module's errors.

    What nothing here knows is left to the middleware of requests, which answers 500.
    """
    app.add_exception_handler(ApiError, _tell_api_error)
    app.add_exception_handler(DomainError, _tell_domain_error)
    app.add_exception_handler(DatabaseUnavailable, _tell_unavailable)
    app.add_exception_handler(DiskUnavailable, _tell_disk_unavailable)
    app.add_exception_handler(RequestValidationError, _tell_invalid_request)
    app.add_exception_handler(HTTPException, _tell_http_exception)


def allowed_methods(routes: Iterable[BaseRoute], path: str) -> list[str]:
    """Name every method that works on a path, over all routes; none where nothing is served."""
    methods: set[str] = set()
    for route in iter_route_contexts(list(routes)):
        pattern = getattr(route, "path_regex", None)
        if route.methods and pattern is not None and pattern.match(path):
            methods |= {*route.methods, "OPTIONS"}
    return sorted(methods)


def answer_to(error: ApiError) -> Response:
    """Return the answer that tells an error, for who meets it outside of a route."""
    return json_response(error.body, error.status, error.headers)


async def _tell_api_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, ApiError)  # noqa: S101 - for the type; Starlette looked it up by it
    return answer_to(error)


def api_error_of(error: DomainError) -> ApiError:
    """Return the documented answer to an error of the domain."""
    match error:
        case domain_errors.NotFound():
            return NotFound(str(error))
        case domain_errors.WrongState():
            return Conflict(str(error))
        case domain_errors.RuleViolation():
            return BrokenRule(str(error))
        case _:
            raise TypeError(f"{type(error).__name__} has no status") from error


async def _tell_domain_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, DomainError)  # noqa: S101 - for the type
    return answer_to(api_error_of(error))


async def _tell_unavailable(request: Request, error: Exception) -> Response:
    _logger.warning("database unavailable", reason=str(error))
    detail = "The database is not available now. Try again."
    return json_response({"detail": detail}, 503, {"Retry-After": RETRY_AFTER})


async def _tell_disk_unavailable(request: Request, error: Exception) -> Response:
    _logger.error("proofs unavailable", error=describe_error(error))
    detail = "Proofs of payment are not available now. Try again."
    return json_response({"detail": detail}, 503, {"Retry-After": RETRY_AFTER})


async def _tell_invalid_request(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101 - for the type
    fields: dict[str, list[str]] = {}
    for problem in error.errors():
        fields.setdefault(str(problem["loc"][-1]), []).append(problem["msg"])
    return json_response(fields, 400)


async def _tell_http_exception(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - for the type
    details = {404: "Not found.", 405: f'Method "{request.method}" not allowed.'}
    headers = dict(error.headers or {})
    if error.status_code == 405:
        # Where several routes share a path, the one that raised names only its own methods.
        if allowed := allowed_methods(request.app.routes, request.url.path):
            headers["Allow"] = ", ".join(allowed)
        if request.method == "OPTIONS":
            return Response(status_code=204, headers=headers)
    detail = details.get(error.status_code, error.detail)
    return json_response({"detail": detail}, error.status_code, headers)
