"""Answers are compressed for those who ask, part by part as they are made.

What it costs and saves stands in decision 13.
"""

import zlib
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Final, Protocol

import zstandard
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.api.caching import etags

MINIMUM_SIZE: Final = 1024
"""Bytes from which an answer is compressed."""
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
    def part(self, data: bytes) -> bytes:
        """Compress a part, so that the client can read it without what comes after."""

    def last(self, data: bytes) -> bytes:
        """Compress the last part."""


class _Gzip:
    def __init__(self) -> None:
        # As zlib writes it, without the time: the same answer is the same bytes.
        self._encoder = zlib.compressobj(GZIP_LEVEL, wbits=zlib.MAX_WBITS | 16)

    def part(self, data: bytes) -> bytes:
        return self._encoder.compress(data) + self._encoder.flush(zlib.Z_SYNC_FLUSH)

    def last(self, data: bytes) -> bytes:
        return self._encoder.compress(data) + self._encoder.flush()


class _Zstd:
    def __init__(self) -> None:
        self._encoder = zstandard.ZstdCompressor(level=ZSTD_LEVEL).compressobj()

    def part(self, data: bytes) -> bytes:
        return self._encoder.compress(data) + self._encoder.flush(zstandard.COMPRESSOBJ_FLUSH_BLOCK)

    def last(self, data: bytes) -> bytes:
        return self._encoder.compress(data) + self._encoder.flush()


_ENCODERS: Final[dict[str, Callable[[], _Encoder]]] = {"zstd": _Zstd, "gzip": _Gzip}
"""What compresses, by its name in HTTP; the first that a client takes is used."""


@lru_cache(maxsize=128)
def accepted(accept_encoding: str) -> tuple[str, ...]:
    """Return the codings of ours that the header takes, best first."""
    qualities = dict(_qualities(accept_encoding))
    others = qualities.get("*", 0.0)
    return tuple(coding for coding in _ENCODERS if qualities.get(coding, others) > 0)


def _qualities(accept_encoding: str) -> Iterator[tuple[str, float]]:
    for element in accept_encoding.lower().split(","):
        name, *parameters = (part.strip() for part in element.split(";"))
        quality = next((p.removeprefix("q=") for p in parameters if p.startswith("q=")), "1")
        try:
            yield name, float(quality)
        except ValueError:
            yield name, 0.0


class CompressionMiddleware:
    """Compresses what is worth it, and gives what it compressed a validator of its own."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection, as ASGI has it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        codings = accepted(", ".join(headers.getlist("accept-encoding")))
        tags = etags.parsed(", ".join(headers.getlist("if-none-match")))
        # Tags of codings that this client does not take stay as they are, and match nothing.
        known = {etags.bare(tag, codings): tag for tag in reversed(tags)}
        replaced = {}
        if list(known.values()) != list(known):
            replaced["If-None-Match"] = ", ".join(reversed(known))
        if expected := etags.parsed(", ".join(headers.getlist("if-match"))):
            # The state is the same in whatever coding the client has read of it.
            replaced["If-Match"] = ", ".join(
                tag if tag.startswith(etags.WEAK) else etags.bare(tag, _ENCODERS)
                for tag in expected
            )
        if replaced:
            changed = MutableHeaders(raw=list(scope["headers"]))
            changed.update(replaced)
            # In the same scope: what is noted there further in is told by the log.
            scope["headers"] = changed.raw
        await self._app(scope, receive, _Answer(send, next(iter(codings), None), known))


class _Answer:
    """Sends one answer on; its start is held until the body tells whether it is compressed."""

    def __init__(self, send: Send, coding: str | None, known: dict[str, str]) -> None:
        self._send = send
        self._coding = coding
        self._known = known
        self._undecided: tuple[Message, str] | None = None
        self._held = b""
        self._encoder: _Encoder | None = None

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            await self._begin(message)
        elif message["type"] != "http.response.body":
            await self._send(message)
        elif self._undecided is not None:
            await self._decide(*self._undecided, message)
        elif self._encoder is not None:
            await self._send(_packed(self._encoder, message))
        else:
            await self._send(message)

    async def _begin(self, start: Message) -> None:
        headers = MutableHeaders(raw=start["headers"])
        headers["Vary"] = "Accept-Encoding"
        if start["status"] == 304 and "etag" in headers:
            # The client is told which of the tags that it has is good.
            headers["ETag"] = self._known.get(headers["etag"], headers["etag"])
        if self._coding is not None and _is_compressible(start["status"], headers):
            self._undecided = start, self._coding
        else:
            await self._send(start)

    async def _decide(self, start: Message, coding: str, message: Message) -> None:
        body, more = self._held + message.get("body", b""), message.get("more_body", False)
        if more and len(body) < MINIMUM_SIZE:
            self._held = body
            return
        self._undecided = None
        whole: Message = {**message, "body": body}
        if len(body) >= MINIMUM_SIZE:
            self._encoder = _ENCODERS[coding]()
            whole = _packed(self._encoder, whole)
            headers = MutableHeaders(raw=start["headers"])
            headers["Content-Encoding"] = coding
            if "etag" in headers:
                headers["ETag"] = etags.coded(headers["etag"], coding)
            if more:
                del headers["Content-Length"]
            else:
                headers["Content-Length"] = str(len(whole["body"]))
        await self._send(start)
        await self._send(whole)


def _packed(encoder: _Encoder, message: Message) -> Message:
    body = message.get("body", b"")
    more = message.get("more_body", False)
    return {**message, "body": encoder.part(body) if more else encoder.last(body)}


def _is_compressible(status: int, headers: Headers) -> bool:
    if status < 200 or status in (204, 206, 304) or "content-encoding" in headers:
        return False
    return headers.get("content-type", "").partition(";")[0].strip().lower() in _MEDIA_TYPES
