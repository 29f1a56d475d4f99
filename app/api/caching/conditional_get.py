"""How reads are answered: by 304 where the client has the answer, from what is kept, or made anew.

A read first selects, in one statement, what names the state of its answer. From that follow the
validator and what is kept. Only where something is missing is the same selected again in a
snapshot, and made from it: what is sent is always of one moment, and under its own validator.
"""

from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass
from typing import cast

from fastapi import Request, Response
from sqlalchemy.ext.asyncio import AsyncConnection

from app.api.caching import etags
from app.api.caching.response_cache import Body, KeptBodies
from app.api.json_response import encoded, head_response
from app.api.links import Links, links_for
from app.api.middleware.proxy_headers import origin
from app.api.middleware.request_log import user_of
from app.api.streaming import JsonStream
from app.database.engine import Database
from app.settings import Settings

WHOLE = 1024 * 1024
"""Bytes up to which an answer is made whole before it is sent; a longer one is streamed."""


class Selected(ABC):
    """What a request asks for, as one statement found it."""

    headers: dict[str, str]
    """Besides those that every answer has."""
    counted_late = False
    """Whether `made` adds headers, before its first part."""
    kept_whole = True
    """Whether the answer is kept as one, not by parts that other answers share."""

    @property
    @abstractmethod
    def made_of(self) -> tuple[object, ...]:
        """All that the answer is made of: equal values, equal answers."""

    def kept(self) -> Sequence[bytes] | None:
        """Return the parts of the body, if they need nothing more of the database."""
        return None

    @abstractmethod
    def made(self, connection: AsyncConnection) -> AsyncGenerator[bytes, None]:
        """Make the parts of the body from a snapshot, the one in which this was selected."""


class Readable(ABC):
    """What a request asks for."""

    several_statements = False
    """Whether even to select it takes more than one statement."""

    @abstractmethod
    async def select(self, connection: AsyncConnection) -> Selected:
        """Find it; raises what the answer is where it cannot be had."""


class Answers:
    """Answers one request."""

    def __init__(self, request: Request) -> None:
        state = request.app.state
        self.request = request
        self.database = cast(Database, state.database)
        self.settings = cast(Settings, state.settings)
        self.bodies = cast(KeptBodies, state.kept_bodies)
        self.links: Links = links_for(self.settings, origin(request).base)

    async def to(self, readable: Readable) -> Response:
        """Return the answer to GET or HEAD."""
        database = self.database
        opening = database.snapshot if readable.several_statements else database.reading
        async with opening() as connection:
            selected = await readable.select(connection)
        asked = self.request.headers.get("if-none-match")
        headers = self._headers(selected)
        if asked is not None and etags.matches(asked, headers["ETag"]):
            return Response(status_code=304, headers=headers)
        if self.request.method == "HEAD" and not selected.counted_late:
            return head_response(headers)
        parts = self._kept(selected)
        if parts is None:
            return await self._made(readable)
        headers |= selected.headers
        if sum(map(len, parts)) <= WHOLE:
            return encoded(b"".join(parts), headers=headers)
        return JsonStream(_one_by_one(parts), headers)

    async def _made(self, readable: Readable) -> Response:
        """Make an answer, on a connection that no client can hold for long unless it has a place.

        One that turns out to be too long to be made whole gets a place then. Where all are taken,
        it begins again once there is one, rather than wait for it with a connection.
        """
        user = user_of(self.request)
        async with self.database.rendering(user), AsyncExitStack() as stack:
            connection = await stack.enter_async_context(self.database.snapshot())
            begun = await _begin(readable, connection, stack)
            if begun.rest is None:
                return self._whole(begun)
            if self.database.streams.try_acquire(user):
                held = AsyncExitStack()
                held.callback(self.database.streams.release, user)
                held.push_async_exit(stack.pop_all())
                return self._stream(begun, begun.rest, held)
        async with AsyncExitStack() as stack:
            connection = await stack.enter_async_context(self.database.streaming(user))
            begun = await _begin(readable, connection, stack)
            if begun.rest is None:
                return self._whole(begun)
            return self._stream(begun, begun.rest, stack.pop_all())

    def _whole(self, begun: "_Begun") -> Response:
        selected, body = begun.selected, b"".join(begun.start)
        if selected.kept_whole:
            self.bodies.keep(self.validator(selected), Body(body, selected.headers))
        return encoded(body, headers=self._headers(selected))

    def _stream(
        self, begun: "_Begun", rest: AsyncGenerator[bytes, None], held: AsyncExitStack
    ) -> Response:
        return JsonStream(_resumed(begun.start, rest, held), self._headers(begun.selected))

    def _kept(self, selected: Selected) -> Sequence[bytes] | None:
        if not selected.kept_whole:
            return selected.kept()
        body = self.bodies.get(self.validator(selected))
        if body is None:
            return None
        selected.headers = dict(body.headers)
        return [body.content]

    def validator(self, selected: Selected) -> str:
        """Return the strong validator of the answer that shows what was selected."""
        return self.bodies.validator((self.links, *selected.made_of))

    def _headers(self, selected: Selected) -> dict[str, str]:
        return {
            **selected.headers,
            "ETag": self.validator(selected),
            "Cache-Control": "private, no-cache",
        }


@dataclass
class _Begun:
    """An answer of which so much is made as fits in memory."""

    selected: Selected
    start: list[bytes]
    rest: AsyncGenerator[bytes, None] | None
    """None where the start is all."""


async def _begin(readable: Readable, connection: AsyncConnection, stack: AsyncExitStack) -> _Begun:
    """Make the start of an answer; what makes its rest is closed with the stack."""
    selected = await readable.select(connection)
    parts = await stack.enter_async_context(aclosing(selected.made(connection)))
    start: list[bytes] = []
    size = 0
    async for part in parts:
        start.append(part)
        size += len(part)
        if size > WHOLE:
            return _Begun(selected, start, parts)
    return _Begun(selected, start, None)


async def _one_by_one(parts: Sequence[bytes]) -> AsyncGenerator[bytes, None]:
    for part in parts:
        yield part


async def _resumed(
    begun: list[bytes], parts: AsyncGenerator[bytes, None], stack: AsyncExitStack
) -> AsyncGenerator[bytes, None]:
    """Yield what is there already, then the rest; what the stack holds is held until then."""
    async with stack:
        while begun:
            yield begun.pop(0)
        async for part in parts:
            yield part
