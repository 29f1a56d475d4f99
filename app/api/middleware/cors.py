"""Cross-origin requests of browsers: refused, unless a setting names the origin of the page."""

from typing import Final

from fastapi import FastAPI
from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response

from app.api.middleware.security_headers import ERROR_HEADERS
from app.api.permissions import IMPERSONATED_USER
from app.settings import Settings

_REQUEST_HEADERS: Final = (
    "Authorization",
    "Content-Type",
    "Idempotency-Key",
    "If-Match",
    "If-None-Match",
    IMPERSONATED_USER,
    "X-Request-ID",
)
"""Request headers that a page may set."""
_RESPONSE_HEADERS: Final = (
    "Content-Disposition",
    "ETag",
    "Link",
    "RateLimit",
    "RateLimit-Policy",
    "Retry-After",
    "X-Request-ID",
    "X-Result-Count",
)
"""Response headers that a page may read."""


class _CorsMiddleware(CORSMiddleware):
    """Adds the security headers to answers to preflight requests, which end here."""

    def preflight_response(self, request_headers: Headers) -> Response:
        response = super().preflight_response(request_headers)
        response.raw_headers.extend(ERROR_HEADERS)
        return response


def install(app: FastAPI, settings: Settings) -> None:
    """Allow the origins of the settings."""
    if settings.cors_allow_origins:
        # Pages send tokens themselves: without cookies there are no credentials to allow.
        app.add_middleware(
            _CorsMiddleware,
            allow_origins=settings.cors_allow_origins,
            allow_methods=("DELETE", "GET", "HEAD", "PATCH", "POST", "PUT"),
            allow_headers=_REQUEST_HEADERS,
            expose_headers=_RESPONSE_HEADERS,
        )
