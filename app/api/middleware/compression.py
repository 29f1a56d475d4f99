"""Compresses responses, part by part as the application sends them.

Each content coding of a response is a representation with a strong ETag of its own (RFC 9110,
8.8.3): `"abc"` compressed by gzip is `"abc-gzip"`. Routers know `"abc"` alone: the coding is added
to the response's ETag and removed from the request's.

Decision 13 gives the costs and savings of the levels.
"""

import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, NamedTuple, Protocol

import zstandard
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.api.caching.etags import WEAK, parse_etags

MINIMUM_SIZE: Final = 1024
"""Bytes from which a response is compressed."""
ZSTD_LEVEL: Final = 1
GZIP_LEVEL: Final = 2
_MEDIA_TYPES: Final = frozenset(
    {
        "application/javascript",
        "application/json",
        "application/xml",
        "image/svg+xml",
        "text/css",
        "text/html",
        "text/javascript",
        "text/plain",
    }
)


class _Encoder(Protocol):
    """A compression object of zlib or zstandard."""

    def compress(self, data: bytes, /) -> bytes: ...

    def flush(self, mode: int = ..., /) -> bytes: ...


class _Coding(NamedTuple):
    """A content coding."""

    create_encoder: Callable[[], _Encoder]
    flush_part: int
    """The mode of `flush` after which the client can decode what it has."""


_CODINGS: Final[dict[str, _Coding]] = {
    "zstd": _Coding(
        lambda: zstandard.ZstdCompressor(level=ZSTD_LEVEL).compressobj(),
        zstandard.COMPRESSOBJ_FLUSH_BLOCK,
    ),
    # zlib writes no time into the header: equal responses are equal bytes.
    "gzip": _Coding(
        lambda: zlib.compressobj(GZIP_LEVEL, wbits=zlib.MAX_WBITS | 16), zlib.Z_SYNC_FLUSH
    ),
}
"""The content codings by name, the preferred one first."""


@lru_cache(maxsize=128)
def accepted(accept_encoding: str) -> tuple[str, ...]:
    """Return the supported codings that an Accept-Encoding header accepts, the preferred first."""
    qualities = dict(_qualities(accept_encoding))
    others = qualities.get("*", 0.0)
    return tuple(coding for coding in _CODINGS if qualities.get(coding, others) > 0)


def _qualities(accept_encoding: str) -> Iterator[tuple[str, float]]:
    for element in accept_encoding.lower().split(","):
        name, *parameters = (part.strip() for part in element.split(";"))
        quality = next((p.removeprefix("q=") for p in parameters if p.startswith("q=")), "1")
        try:
            yield name, float(quality)
        except ValueError:
            yield name, 0.0


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


class CompressionMiddleware:
    """Compresses responses that gain by it, and gives each coding an entity tag of its own."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection, as ASGI has it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        codings = accepted(", ".join(headers.getlist("accept-encoding")))
        known: dict[str, str] = {}
        replaced = {}
        if if_none_match := ", ".join(headers.getlist("if-none-match")):
            # Tags of codings that this client does not accept stay unchanged, and match nothing.
            tags = reversed(parse_etags(if_none_match))
            known = {remove_coding(tag, codings): tag for tag in tags}
            if list(known.values()) != list(known):
                replaced["If-None-Match"] = ", ".join(reversed(known))
        if (if_match := ", ".join(headers.getlist("if-match"))) and (
            expected := parse_etags(if_match)
        ):
            # The state is the same in every coding.
            replaced["If-Match"] = ", ".join(
                tag if tag.startswith(WEAK) else remove_coding(tag, _CODINGS) for tag in expected
            )
        if replaced:
            changed = MutableHeaders(raw=list(scope["headers"]))
            changed.update(replaced)
            # Of the same scope: the log reads what inner code stores in it.
            scope["headers"] = changed.raw
        await self._app(scope, receive, _Response(send, next(iter(codings), None), known))


@dataclass(slots=True)
class _Response:
    """Sends one response; its start waits until the body shows whether it is compressed."""

    _send: Send
    _coding: str | None
    _known: dict[str, str]
    """The client's entity tags, by the tag of the uncoded response."""
    _start: Message | None = None
    """The start, while it waits."""
    _buffer: bytes = b""
    _encoder: _Encoder | None = None

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(raw=message["headers"])
            headers["Vary"] = "Accept-Encoding"
            if message["status"] == 304 and "etag" in headers:
                # The client gets the tag that it sent.
                headers["ETag"] = self._known.get(headers["etag"], headers["etag"])
            if self._coding is not None and _is_compressible(message["status"], headers):
                self._start = message
            else:
                await self._send(message)
        elif message["type"] == "http.response.body" and self._coding is not None:
            await self._send_body(message, self._coding)
        else:
            await self._send(message)

    async def _send_body(self, message: Message, coding: str) -> None:
        body, more = message.get("body", b""), message.get("more_body", False)
        start = self._start
        if start is not None:
            body = self._buffer + body
            if more and len(body) < MINIMUM_SIZE:
                self._buffer = body
                return
            self._start = None
            if len(body) >= MINIMUM_SIZE:
                self._encoder = _CODINGS[coding].create_encoder()
        if self._encoder is not None:
            encoded = self._encoder.compress(body)
            if more:
                body = encoded + self._encoder.flush(_CODINGS[coding].flush_part)
            else:
                body = encoded + self._encoder.flush()
        if start is not None:
            if self._encoder is not None:
                headers = MutableHeaders(raw=start["headers"])
                headers["Content-Encoding"] = coding
                if "etag" in headers:
                    headers["ETag"] = add_coding(headers["etag"], coding)
                if more:
                    del headers["Content-Length"]
                else:
                    headers["Content-Length"] = str(len(body))
            await self._send(start)
        await self._send({**message, "body": body})


def _is_compressible(status: int, headers: Headers) -> bool:
    if status < 200 or status in (204, 206, 304) or "content-encoding" in headers:
        return False
    return headers.get("content-type", "").partition(";")[0].strip().lower() in _MEDIA_TYPES
