"""Errors as the API tells them: one shape, in Django REST framework's words.

Anything in the service raises an `ApiError`; `install` turns it, and whatever else goes wrong,
into a response.
"""

from typing import Any


class ApiError(Exception):
    """An answer other than success: a status, a JSON body, perhaps headers."""

    def __init__(self, status: int, body: Any, headers: dict[str, str] | None = None) -> None:
        super().__init__(f"{status}: {body}")
        self.status = status
        self.body = body
        self.headers = headers or {}


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


class TooLarge(ApiError):
    """413: more than is taken."""

    def __init__(self, detail: str) -> None:
        super().__init__(413, {"detail": detail})


class UnsupportedMediaType(ApiError):
    """415: a body of a kind that the operation does not read."""

    def __init__(self, media_type: str) -> None:
        super().__init__(415, {"detail": f'Unsupported media type "{media_type}" in request.'})
