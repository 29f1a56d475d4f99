"""Validation of the URLs that the service stores and sends."""

import re
from typing import Final
from unicodedata import category
from urllib.parse import urlsplit

import idna
from pydantic import AnyUrl, TypeAdapter, ValidationError

_SHAPE: Final = re.compile(
    r"(?:https?|ftps?)://(?P<rest>(?:[^\s/?#\\@]*@)?(?P<host>\[[^\s/?#\\@\]]+\]|[^\s/?#\\@:\[\]]+)"
    r"(?::[0-9]{1,5})?(?:[/?#]\S*)?)",
    re.IGNORECASE,
)
_NUMERIC: Final = re.compile(r"\[.+\]|(?:[0-9]{1,3}\.){3}[0-9]{1,3}")
_LABEL: Final = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_parser: TypeAdapter[AnyUrl] = TypeAdapter(AnyUrl)


def is_web_url(text: str) -> bool:
    """Return whether a text is an absolute http, https, ftp or ftps URL that every parser accepts.

    White space and control characters are refused. Parsers differ, so this asks three: one of the
    URL Standard, Python's own of RFC 3986, and IDNA 2008.
    """
    shape = _SHAPE.fullmatch(text)
    if not shape or any(category(c) in ("Cc", "Cs") for c in text):
        return False
    try:
        urlsplit(text)
        if not shape["host"].isascii():
            # The URL Standard ignores characters that IDNA 2008 forbids, such as a soft hyphen.
            idna.encode(shape["host"].lower())
        # The parser validates hosts only for schemes that it knows, and ftps is not one.
        host = _parser.validate_python("https://" + shape["rest"]).host or ""
    except (ValueError, ValidationError):
        return False
    if _NUMERIC.fullmatch(host):
        # The parser also accepts 1.2 and 0x7f000001 as IP addresses.
        return _NUMERIC.fullmatch(shape["host"]) is not None
    return host == "localhost" or _is_domain(host)


def is_http_url(text: str) -> bool:
    """Return whether a text is such a URL with the scheme http or https."""
    return text.lower().startswith(("http://", "https://")) and is_web_url(text)


def _is_domain(host: str) -> bool:
    labels = host.removesuffix(".").split(".")
    last = labels[-1]
    return (
        len(labels) > 1
        and len(host) <= 253
        and len(last) > 1
        and not last.isdecimal()
        and all(_LABEL.fullmatch(label) for label in labels)
    )
