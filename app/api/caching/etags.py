"""Entity tags of responses and of their content codings (RFC 9110, 8.8.3).

Each content coding of a response is a representation with a strong ETag of its own: `"abc"`
compressed by gzip is `"abc-gzip"`. Routers know `"abc"` alone. The compression middleware adds the
coding to the response's ETag and removes it from the request's.
"""

import re
from collections.abc import Iterable

_TAG = re.compile(r'(?:W/)?"[\x21\x23-\x7e\x80-\xff]*"')
WEAK = "W/"


def parse_etags(header: str) -> list[str]:
    """Return the ETags of If-None-Match or If-Match; none if the header is malformed or `*`."""
    rest = _TAG.sub("", header).strip(" \t,")
    return [] if rest else _TAG.findall(header)


def matches_any(if_none_match: str, etag: str) -> bool:
    """Return whether the client has the response already (304).

    The header matches by `*` or an equal ETag in the weak comparison of RFC 9110, 13.1.2.
    """
    if if_none_match.strip() == "*":
        return True
    return etag.removeprefix(WEAK) in {tag.removeprefix(WEAK) for tag in parse_etags(if_none_match)}


def permits(if_match: str, etag: str) -> bool:
    """Return whether the client knows the current state; otherwise the response is 412.

    The header matches by `*` or an equal ETag in the strong comparison of RFC 9110, 13.1.1, in
    which a weak ETag matches nothing.
    """
    return if_match.strip() == "*" or etag in parse_etags(if_match)


def add_coding(etag: str, coding: str) -> str:
    """Return the ETag of a response in a content coding; a weak ETag is equal for all codings."""
    return etag if etag.startswith(WEAK) else f'{etag[:-1]}-{coding}"'


def remove_coding(tag: str, codings: Iterable[str]) -> str:
    """Return the strong ETag of the uncoded response.

    A proxy may have weakened the ETag of the coded response.
    """
    tag = tag.removeprefix(WEAK)
    for coding in codings:
        suffix = f'-{coding}"'
        if tag.endswith(suffix):
            return tag.removesuffix(suffix) + '"'
    return tag
