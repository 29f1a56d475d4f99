"""Conditional GET: 304, a response from the cache, or one rendered in a snapshot.

A read first selects the state of the resource. The state gives the ETag and the key in the response
cache. A body that is stored in the database is read by one more statement, which checks that the
state is still the same. Otherwise the state is selected again in a snapshot and rendered there: a
response shows a single moment, and carries the ETag of that moment.
"""

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass, field
from typing import Final, Generic, Self, TypeVar, cast

from fastapi import Request, Response
from sqlalchemy.ext.asyncio import AsyncConnection

from app.api.caching import etags
from app.api.caching.response_cache import CachedResponse, ResponseCache
from app.api.json_response import MEDIA_TYPE, head_response
from app.api.middleware.proxy_headers import origin
from app.api.middleware.read_positions import READS
from app.api.middleware.request_log import user_of
from app.api.response_format import ResponseFormat
from app.api.serializers import Links, build_links
from app.api.streaming import JsonStream
from app.database.deadline import current_deadline
from app.database.errors import DatabaseUnavailable
from app.database.reads import Reads
from app.settings import Settings

CACHE_CONTROL: Final = {"Cache-Control": "private, no-cache"}
STREAM_ABOVE = 1024 * 1024
"""Bytes up to which a response is rendered whole before it is sent; a longer one is streamed."""


@dataclass(slots=True)
class Representation:
    """How a response shows the selected state of a resource."""

    etag: str
    render: Callable[[AsyncConnection], AsyncGenerator[bytes, None]]
    """Yields the parts of the body; the connection is the snapshot of the selection."""
    headers: dict[str, str] = field(default_factory=dict)
    headers_need_body: bool = False
    """Whether `render` adds headers, before its first part."""
    cached_parts: Callable[[], Sequence[bytes] | None] | None = None
    """Returns the body if it needs no further read. By default the whole body is cached by its
    ETag."""
    stored_parts: Callable[[AsyncConnection], Awaitable[Sequence[bytes] | None]] | None = None
    """Returns the body if one more statement reads all of it, as of the selected state."""
    media_type: str = MEDIA_TYPE

    @classmethod
    def of_body(cls, body: bytes, headers: Mapping[str, str] | None = None) -> Self:
        """Return the representation of a rendered body, with the ETag of body and headers."""
        shown = {**(headers or {})}
        content = [f"{name}: {value}".encode() for name, value in shown.items()]
        return cls(
            etags.etag_of(body, *content),
            lambda _connection: _yield_each([body]),
            shown,
            cached_parts=lambda: [body],
        )


State = TypeVar("State")


@dataclass(frozen=True, slots=True)
class File:
    """A response that takes long to make, without the database."""

    etag: str
    make: Callable[[], Awaitable[bytes]]
    media_type: str
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Resource(Generic[State]):
    """The state that a request reads, and its representation."""

    select: Callable[[AsyncConnection], Awaitable[State]]
    represent: Callable[[State], Representation]
    """Raises the error of the response if the state has none, such as 404 for a late page."""
    in_snapshot: bool = False
    """Whether `select` takes more than one statement."""


class ConditionalGet:
    """Answers one GET or HEAD request."""

    def __init__(self, request: Request) -> None:
        state = request.app.state
        self.request = request
        self.reads: Reads = request.scope.get(READS, state.database)
        self.settings = cast(Settings, state.settings)
        self.cache = cast(ResponseCache, state.response_cache)
        self.links: Links = build_links(self.settings, origin(request).base)

    @property
    def response_format(self) -> ResponseFormat:
        """The links of the response, and the currency of its amounts."""
        return ResponseFormat(self.links, self.settings.currency)

    @property
    def matches_every_tag(self) -> bool:
        """Whether the request has `If-None-Match: *`, which any response matches."""
        return self.request.headers.get("if-none-match", "").strip() == etags.ANY

    def etag(self, *state: object) -> str:
        """Return the strong ETag of a body that is determined by the state and the links."""
        return self.cache.etag((self.links, *state))

    async def respond(self, resource: Resource[State]) -> Response:
        """Return the response; raises what `select`, `represent` and `render` raise."""
        try:
            return await self._respond(resource)
        except DatabaseUnavailable:
            if not self.reads.use_primary():
                raise
            return await self._respond(resource)

    async def _respond(self, resource: Resource[State]) -> Response:
        reads = self.reads
        async with reads.snapshot() if resource.in_snapshot else reads.reading() as reader:
            shown = resource.represent(await resource.select(reader))
            headers = _headers(shown)
            if self._is_current(shown.etag):
                return Response(status_code=304, headers=headers)
            if self.request.method == "HEAD" and not shown.headers_need_body:
                return head_response(headers)
            parts: Sequence[bytes] | None = None
            is_cacheable = False
            if shown.cached_parts is not None:
                parts = shown.cached_parts()
            elif (cached := self.cache.get(shown.etag)) is not None:
                parts = [cached.body]
                headers |= cached.headers
            if parts is None and shown.stored_parts is not None:
                parts = await shown.stored_parts(reader)
                is_cacheable = shown.cached_parts is None
        if parts is None:
            return await self._render(resource)
        if sum(map(len, parts)) <= STREAM_ABOVE:
            body = b"".join(parts)
            if is_cacheable:
                self.cache.store(shown.etag, CachedResponse(body, shown.headers))
            return Response(body, 200, headers, shown.media_type)
        return JsonStream(_yield_each(parts), headers, shown.media_type)

    async def respond_with_file(self, file: File) -> Response:
        """Return the response with a file, which is made without a connection or a deadline.

        Raises what `make` raises.
        """
        headers = {**file.headers, "ETag": file.etag, **CACHE_CONTROL}
        if self._is_current(file.etag):
            return Response(status_code=304, headers=headers)
        if self.request.method == "HEAD":
            return head_response(headers)
        cached = self.cache.get(file.etag)
        if cached is None:
            current_deadline.get().cancel()
            cached = CachedResponse(await file.make())
            self.cache.store(file.etag, cached)
        return Response(cached.body, 200, headers, file.media_type)

    def _is_current(self, etag: str) -> bool:
        """Return whether the client has the response already."""
        if_none_match = self.request.headers.get("if-none-match")
        return if_none_match is not None and etags.matches_any(if_none_match, etag)

    async def _render(self, resource: Resource[State]) -> Response:
        """Render a response. Only a stream with a slot holds its connection at its client's pace.

        A response that turns out too long for memory takes a slot then. If there is none, its
        connection is released, and it starts over when a slot is free.
        """
        user = user_of(self.request)
        async with self.reads.rendering(user), AsyncExitStack() as stack:
            connection = await stack.enter_async_context(self.reads.snapshot())
            start = await _start(resource, connection, stack)
            if start.rest is None:
                return self._whole(start)
            if self.reads.streams.try_acquire(user):
                held = AsyncExitStack()
                held.callback(self.reads.streams.release, user)
                held.push_async_exit(stack.pop_all())
                return _stream(start, held)
        async with AsyncExitStack() as stack:
            connection = await stack.enter_async_context(self.reads.streaming(user))
            start = await _start(resource, connection, stack)
            if start.rest is None:
                return self._whole(start)
            return _stream(start, stack.pop_all())

    def _whole(self, start: "_Start") -> Response:
        shown, body = start.shown, b"".join(start.parts)
        if shown.cached_parts is None:
            self.cache.store(shown.etag, CachedResponse(body, shown.headers))
        return Response(body, 200, _headers(shown), shown.media_type)


def _headers(shown: Representation) -> dict[str, str]:
    return {**shown.headers, "ETag": shown.etag, **CACHE_CONTROL}


@dataclass
class _Start:
    """The beginning of a rendered response, up to the size that is streamed."""

    shown: Representation
    parts: list[bytes]
    rest: AsyncGenerator[bytes, None] | None
    """None if the parts are the whole body."""


async def _start(
    resource: Resource[State], connection: AsyncConnection, stack: AsyncExitStack
) -> _Start:
    """Select and begin to render; the stack closes the generator of the rest."""
    shown = resource.represent(await resource.select(connection))
    rest = await stack.enter_async_context(aclosing(shown.render(connection)))
    parts: list[bytes] = []
    size = 0
    async for part in rest:
        parts.append(part)
        size += len(part)
        if size > STREAM_ABOVE:
            return _Start(shown, parts, rest)
    return _Start(shown, parts, None)


def _stream(start: _Start, held: AsyncExitStack) -> JsonStream:
    return JsonStream(_resume(start, held), _headers(start.shown), start.shown.media_type)


async def _yield_each(parts: Sequence[bytes]) -> AsyncGenerator[bytes, None]:
    for part in parts:
        yield part


async def _resume(start: _Start, held: AsyncExitStack) -> AsyncGenerator[bytes, None]:
    """Yield the rendered parts, then the rest, and release what the stack holds."""
    async with held:
        while start.parts:
            yield start.parts.pop(0)
        if start.rest is not None:
            async for part in start.rest:
                yield part
