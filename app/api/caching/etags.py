"""Entity tags: whether a client has an answer already, also where it has it compressed.

Each content coding of an answer is a representation of its own and has a strong validator of its
own (RFC 9110, 8.8.3.3): `"abc"` compressed by gzip is `"abc-gzip"`. Whoever makes an answer knows
`"abc"` alone; the compression adds what it did, and takes it off what the client sends back.
"""

import re
from collections.abc import Iterable

_TAG = re.compile(r'(?:W/)?"[\x21\x23-\x7e\x80-\xff]*"')
WEAK = "W/"


def parsed(header: str) -> list[str]:
    """Return the entity tags of If-None-Match or If-Match; none if it is malformed, or `*`."""
    beside = _TAG.sub("", header).strip(" \t,")
    return [] if beside else _TAG.findall(header)


def matches(if_none_match: str, etag: str) -> bool:
    """Tell whether the header names the tag, or `*`: then the client has the answer (304).

    The comparison is the weak one, as If-None-Match asks for.
    """
    if if_none_match.strip() == "*":
        return True
    return etag.removeprefix(WEAK) in {tag.removeprefix(WEAK) for tag in parsed(if_none_match)}


def permits(if_match: str, etag: str) -> bool:
    """Tell whether the header names the tag, or `*`: else the client knows another state (412).

    The comparison is the strong one, as If-Match asks for: a weak tag matches nothing.
    """
    return if_match.strip() == "*" or etag in parsed(if_match)


def coded(etag: str, coding: str) -> str:
    """Return the tag of an answer once it is compressed; a weak one is the same for both."""
    return etag if etag.startswith(WEAK) else f'{etag[:-1]}-{coding}"'


def bare(tag: str, codings: Iterable[str]) -> str:
    """Return the tag as who made the answer knows it.

    It is without what one of the codings added, and strong, though a proxy may have weakened it.
    """
    tag = tag.removeprefix(WEAK)
    for coding in codings:
        added = f'-{coding}"'
        if tag.endswith(added):
            return tag.removesuffix(added) + '"'
    return tag
