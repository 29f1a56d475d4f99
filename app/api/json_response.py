"""JSON answers."""

from collections.abc import Mapping
from typing import Any

from fastapi import Response
from pydantic_core import to_json

MEDIA_TYPE = "application/json"


def as_json(content: Any) -> bytes:
    """Return content as JSON in UTF-8."""
    return to_json(content)


def json_response(
    content: Any, status: int = 200, headers: Mapping[str, str] | None = None
) -> Response:
    """Return content as a JSON answer in UTF-8."""
    return encoded(as_json(content), status, headers)


def encoded(body: bytes, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Return what is JSON already as an answer."""
    return Response(body, status, headers, MEDIA_TYPE)


def head_response(headers: Mapping[str, str] | None = None) -> Response:
    """Return the headers of an answer alone, for a HEAD request that builds no body."""
    response = Response(None, 200, headers)
    # Not known without the body; RFC 9110 lets it be left out.
    del response.headers["content-length"]
    return response
