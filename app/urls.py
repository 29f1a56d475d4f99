"""Validation of the URLs that the service stores and sends, and those of stores of files."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from unicodedata import category
from urllib.parse import unquote, urlsplit

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


_BUCKET: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,254}")
_PREFIX: Final = re.compile(r"[A-Za-z0-9!_.*'()-]+(?:/[A-Za-z0-9!_.*'()-]+)*")


@dataclass(frozen=True, slots=True)
class BucketUrl:
    """A bucket of an object store, and the prefix of the keys of its objects."""

    bucket: str
    prefix: str = ""
    """Segments between slashes; may be empty."""

    def __str__(self) -> str:
        return f"s3://{self.bucket}/{self.prefix}".rstrip("/")


def parse_file_store(url: str) -> Path | BucketUrl:
    """Return the folder of a `file:///` URL or the bucket of an `s3://` URL.

    Raises ValueError for any other text.
    """
    parts = urlsplit(url)
    if parts.query or parts.fragment:
        raise ValueError("the URL has a query or a fragment")
    if parts.scheme == "file" and not parts.netloc and len(parts.path) > 1:
        return Path(unquote(parts.path))
    prefix = parts.path.strip("/")
    if (
        parts.scheme != "s3"
        or not _BUCKET.fullmatch(parts.netloc)
        or (prefix and not _PREFIX.fullmatch(prefix))
        or {".", ".."} & set(prefix.split("/"))
    ):
        raise ValueError("the value must be a URL such as s3://bucket/prefix or file:///folder")
    return BucketUrl(parts.netloc, prefix)


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
