"""JSON responses."""

from collections.abc import Mapping
from typing import Any

from fastapi import Response
from pydantic_core import to_json

MEDIA_TYPE = "application/json"


def to_json_bytes(content: Any) -> bytes:
    """Return content as JSON in UTF-8."""
    return to_json(content)


def json_response(
    content: Any, status: int = 200, headers: Mapping[str, str] | None = None
) -> Response:
    """Return content as a JSON response in UTF-8."""
    return Response(to_json_bytes(content), status, headers, MEDIA_TYPE)


def head_response(headers: Mapping[str, str] | None = None) -> Response:
    """Return a response to HEAD whose body was not rendered."""
    response = Response(None, 200, headers)
    # The length is unknown without the body; RFC 9110 allows to omit it.
    del response.headers["content-length"]
    return response
