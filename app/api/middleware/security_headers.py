"""Security headers of every response: it is data, and only this origin may use it.

The choice follows OWASP's list for REST services. A response that sets one of these headers, as the
documentation page does, keeps its own.
"""

from functools import lru_cache
from typing import Final

RawHeader = tuple[bytes, bytes]

_HEADERS: Final[tuple[RawHeader, ...]] = (
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"x-frame-options", b"DENY"),
)
_NO_STORE: Final[RawHeader] = (b"cache-control", b"no-store")
_HTTPS_ONLY: Final[RawHeader] = (b"strict-transport-security", b"max-age=31536000")
ERROR_HEADERS: Final[tuple[RawHeader, ...]] = (*_HEADERS, _NO_STORE)
"""The security headers of a response that sets none of them."""


@lru_cache(maxsize=256)
def missing_headers(names: frozenset[bytes], *, is_https: bool) -> list[RawHeader]:
    """Return the headers to add to a response that sets those of these names itself."""
    headers = [header for header in _HEADERS if header[0] not in names]
    # A response with an entity tag may be stored: it is revalidated.
    if not names & {_NO_STORE[0], b"etag"}:
        headers.append(_NO_STORE)
    if is_https:
        headers.append(_HTTPS_ONLY)
    return headers
