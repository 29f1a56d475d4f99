"""Entity tags, and their comparison in conditional requests (RFC 9110, 8.8.3 and 13.1)."""

import re
from hashlib import blake2b

_TAG = re.compile(r'(?:W/)?"[\x21\x23-\x7e\x80-\xff]*"')
WEAK = "W/"
ANY = "*"
"""The value of If-None-Match and If-Match that matches every ETag."""


def etag_of(*content: bytes) -> str:
    """Return the strong ETag (RFC 9110, 8.8.1) of a response with this body and other content."""
    digest = blake2b(digest_size=16)
    for part in content:
        digest.update(len(part).to_bytes(8))
        digest.update(part)
    return f'"{digest.hexdigest()}"'


def parse_etags(header: str) -> list[str]:
    """Return the ETags of If-None-Match or If-Match; none if the header is malformed or `*`."""
    rest = _TAG.sub("", header).strip(" \t,")
    return [] if rest else _TAG.findall(header)


def matches_any(if_none_match: str, etag: str) -> bool:
    """Return whether the client has the response already (304).

    The header matches by `*` or an equal ETag in the weak comparison of RFC 9110, 13.1.2.
    """
    if if_none_match.strip() == ANY:
        return True
    return etag.removeprefix(WEAK) in {tag.removeprefix(WEAK) for tag in parse_etags(if_none_match)}


def permits(if_match: str, etag: str) -> bool:
    """Return whether the client knows the current state; otherwise the response is 412.

    The header matches by `*` or an equal ETag in the strong comparison of RFC 9110, 13.1.1, in
    which a weak ETag matches nothing.
    """
    return if_match.strip() == ANY or etag in parse_etags(if_match)
