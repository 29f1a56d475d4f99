"""What browsers are told of every answer: that it is data, and nobody else's to use.

The choice follows OWASP's list for REST services. An answer that says something of its own under
one of these names, as the documentation page does, keeps it.
"""

from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.api.middleware.proxy_headers import Origin

RawHeader = tuple[bytes, bytes]

_DATA: Final[tuple[RawHeader, ...]] = (
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"x-frame-options", b"DENY"),
)
_NAMES: Final = frozenset(name for name, _ in _DATA)
_UNKEPT: Final[RawHeader] = (b"cache-control", b"no-store")
_HTTPS_ONLY: Final[RawHeader] = (b"strict-transport-security", b"max-age=31536000")
ERROR_HEADERS: Final[tuple[RawHeader, ...]] = (*_DATA, _UNKEPT)
"""The headers of an answer that has none of its own."""


class SecurityMiddleware:
    """Adds the headers to every answer."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection, as ASGI has it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = _guarded(message["headers"], scope["app.origin"])
            await send(message)

        await self._app(scope, receive, guarded)


def _guarded(given: list[RawHeader], origin: Origin) -> list[RawHeader]:
    names = {name for name, _ in given}
    own = _NAMES & names
    if own:
        headers = [*given, *(header for header in _DATA if header[0] not in own)]
    else:
        headers = [*given, *_DATA]
    # What has a validator may be kept: a page's own files say no more than that.
    if _UNKEPT[0] not in names and b"etag" not in names:
        headers.append(_UNKEPT)
    if origin.base.startswith("https:"):
        headers.append(_HTTPS_ONLY)
    return headers
