"""Pages of other origins that may call the API in a browser: none, unless a setting names them."""

from typing import Final

from fastapi import FastAPI
from starlette.middleware.cors import CORSMiddleware

from app.api.permissions import IMPERSONATED_USER
from app.settings import Settings

_SENT: Final = (
    "Authorization",
    "Content-Type",
    "Idempotency-Key",
    "If-Match",
    "If-None-Match",
    IMPERSONATED_USER,
    "X-Request-ID",
)
"""Headers of requests that a page may set."""
_READ: Final = (
    "Content-Disposition",
    "ETag",
    "Link",
    "RateLimit",
    "RateLimit-Policy",
    "Retry-After",
    "X-Request-ID",
    "X-Result-Count",
)
"""Headers of answers that a page may read."""


def install(app: FastAPI, settings: Settings) -> None:
    """Let pages of the origins of the settings call; without any, browsers let no page."""
    if settings.cors_allow_origins:
        # Tokens are sent by the page itself: without cookies there are no credentials to allow.
        app.add_middleware(
            CORSMiddleware,
            allow_origins=settings.cors_allow_origins,
            allow_methods=("GET", "HEAD", "POST"),
            allow_headers=_SENT,
            expose_headers=_READ,
        )
