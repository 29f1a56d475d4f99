"""Security headers of every response: it is data, and only this origin may use it.

The choice follows OWASP's list for REST services. A response that sets one of these headers, as the
documentation page does, keeps its own.
"""

from typing import Final

from app.api.middleware.proxy_headers import Origin

RawHeader = tuple[bytes, bytes]

_HEADERS: Final[tuple[RawHeader, ...]] = (
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"x-frame-options", b"DENY"),
)
_NAMES: Final = frozenset(name for name, _ in _HEADERS)
_NO_STORE: Final[RawHeader] = (b"cache-control", b"no-store")
_HTTPS_ONLY: Final[RawHeader] = (b"strict-transport-security", b"max-age=31536000")
ERROR_HEADERS: Final[tuple[RawHeader, ...]] = (*_HEADERS, _NO_STORE)
"""The security headers of a response that sets none of them."""


def with_security_headers(given: list[RawHeader], origin: Origin) -> list[RawHeader]:
    """Return the headers of a response with those that it does not set itself."""
    names = {name for name, _ in given}
    headers = [*given, *_HEADERS]
    if own := _NAMES & names:
        headers = [*given, *(header for header in _HEADERS if header[0] not in own)]
    # A response with an entity tag may be stored: it is revalidated.
    if _NO_STORE[0] not in names and b"etag" not in names:
        headers.append(_NO_STORE)
    if origin.base.startswith("https:"):
        headers.append(_HTTPS_ONLY)
    return headers
