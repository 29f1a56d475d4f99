"""Compresses responses, part by part as the application sends them.

Decision 13 gives the costs and savings of the levels.
"""

import zlib
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Final, NamedTuple, Protocol

import zstandard
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.api.caching import etags

MINIMUM_SIZE: Final = 1024
"""Bytes from which a response is compressed."""
ZSTD_LEVEL: Final = 1
GZIP_LEVEL: Final = 2
_MEDIA_TYPES: Final = frozenset(
    {
        "application/javascript",
        "application/json",
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
        tags = etags.parse_etags(", ".join(headers.getlist("if-none-match")))
        # Tags of codings that this client does not accept stay unchanged, and match nothing.
        known = {etags.remove_coding(tag, codings): tag for tag in reversed(tags)}
        replaced = {}
        if list(known.values()) != list(known):
            replaced["If-None-Match"] = ", ".join(reversed(known))
        if expected := etags.parse_etags(", ".join(headers.getlist("if-match"))):
            # The state is the same in every coding.
            replaced["If-Match"] = ", ".join(
                tag if tag.startswith(etags.WEAK) else etags.remove_coding(tag, _CODINGS)
                for tag in expected
            )
        if replaced:
            changed = MutableHeaders(raw=list(scope["headers"]))
            changed.update(replaced)
            # Of the same scope: the log reads what inner code stores in it.
            scope["headers"] = changed.raw
        await self._app(scope, receive, _Response(send, next(iter(codings), None), known))


class _Response:
    """Sends one response; its start waits until the body shows whether it is compressed."""

    def __init__(self, send: Send, coding: str | None, known: dict[str, str]) -> None:
        self._send = send
        self._coding = coding
        self._known = known
        self._start: Message | None = None
        """The start, while it waits."""
        self._buffer = b""
        self._encoder: _Encoder | None = None

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
                    headers["ETag"] = etags.add_coding(headers["etag"], coding)
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
