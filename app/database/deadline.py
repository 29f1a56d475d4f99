"""How long a request waits for the database in all, so that it is answered also when that hangs.

PostgreSQL's own limits are of no use where PostgreSQL itself stands still, or its machine is gone.
A connection from which nothing comes in time is ended from this side; what fails then is told like
any connection that was lost. Jobs and commands have no such limit.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, Awaitable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from typing import TypeVar

from sqlalchemy.exc import InvalidRequestError
from sqlalchemy.ext.asyncio import AsyncConnection

_T = TypeVar("_T")


class Patience:
    """What is left of the time that a request may wait, whatever it waits for.

    With `passing` it passes by itself; otherwise only while the database is waited for, as where
    the client sets the pace of an upload.
    """

    def __init__(self, seconds: float, *, passing: bool) -> None:
        self._whole = seconds
        self._left: float | None = seconds
        self._passing = passing
        self._counted = asyncio.get_running_loop().time()
        self._running: dict[AsyncConnection, asyncio.TimerHandle] = {}

    def end(self) -> None:
        """Limit nothing any more: an answer that has begun goes at its client's pace."""
        self._left = None
        for timer in self._running.values():
            timer.cancel()
        self._running.clear()

    def renew(self) -> None:
        """Begin anew, since something has come: what is long is not what hangs."""
        if self._left is None:
            return
        self._left = self._whole
        self._counted = asyncio.get_running_loop().time()
        for connection, timer in list(self._running.items()):
            timer.cancel()
            self._start(connection, self._left)

    @contextmanager
    def on(self, connection: AsyncConnection) -> Iterator[None]:
        """End the connection when the time is up while the context lasts."""
        with self.waiting() as left:
            if left is None:
                yield
                return
            self._start(connection, left)
            try:
                yield
            finally:
                if timer := self._running.pop(connection, None):
                    timer.cancel()

    def _start(self, connection: AsyncConnection, seconds: float) -> None:
        loop = asyncio.get_running_loop()
        self._running[connection] = loop.call_later(seconds, _end, connection)

    @contextmanager
    def waiting(self) -> Iterator[float | None]:
        """Yield what is left, in seconds; what the context takes is counted in any case."""
        self._count(self._passing)
        try:
            yield self._left
        finally:
            self._count(True)

    def _count(self, is_spent: bool) -> None:
        now = asyncio.get_running_loop().time()
        if self._left is not None and is_spent:
            self._left = max(0.0, self._left - (now - self._counted))
        self._counted = now


_of_request: ContextVar[Patience] = ContextVar("patience")


@contextmanager
def patience(seconds: float, *, passing: bool) -> Iterator[Patience]:
    """Give what is done in the context, and in tasks that are begun there, so long in all."""
    given = Patience(seconds, passing=passing)
    before = _of_request.set(given)
    try:
        yield given
    finally:
        _of_request.reset(before)


async def in_time(waiting: Awaitable[_T]) -> _T:
    """Wait for what comes; raises TimeoutError where a request has no patience left."""
    given = _of_request.get(None)
    if given is None:
        return await waiting
    with given.waiting() as left:
        async with asyncio.timeout(left):
            return await waiting


async def renewed_by(parts: AsyncIterable[_T]) -> AsyncGenerator[_T, None]:
    """Yield the parts of something long; each gives a request its whole patience again."""
    async for part in parts:
        if given := _of_request.get(None):
            given.renew()
        yield part


def ended_in_time(connection: AsyncConnection) -> AbstractContextManager[None]:
    """End the connection when a request has no patience left while the context lasts."""
    given = _of_request.get(None)
    return given.on(connection) if given else nullcontext()


def _end(connection: AsyncConnection) -> None:
    try:
        lost = connection.sync_connection and connection.sync_connection.connection
    except InvalidRequestError:  # it is closed, or lost already
        return
    if lost and lost.driver_connection is not None:
        lost.driver_connection.terminate()
