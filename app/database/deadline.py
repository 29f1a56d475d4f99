"""A request's deadline for its work with the database.

PostgreSQL's own timeouts do not help when PostgreSQL hangs or its machine is gone. At the deadline
this side closes the connection; the statement then fails as it does after any lost connection.
Jobs and commands have no deadline.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, Awaitable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from typing import TypeVar

from sqlalchemy.exc import InvalidRequestError
from sqlalchemy.ext.asyncio import AsyncConnection

_T = TypeVar("_T")


class Deadline:
    """The time that a request may still spend.

    If `counts_all_time` is set, all time counts. Otherwise only the time spent on the database
    counts: use this when the client sets the pace, as with an upload.
    """

    def __init__(self, seconds: float, *, counts_all_time: bool) -> None:
        self._seconds = seconds
        self._remaining: float | None = seconds
        self._counts_all_time = counts_all_time
        self._updated_at = asyncio.get_running_loop().time()
        self._timers: dict[AsyncConnection, asyncio.TimerHandle] = {}

    def cancel(self) -> None:
        """Remove the deadline: a response that has started goes at its client's pace."""
        self._remaining = None
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()

    def restart(self) -> None:
        """Start over with the full time. Call it on progress, so that only a hang runs out."""
        if self._remaining is None:
            return
        self._remaining = self._seconds
        self._updated_at = asyncio.get_running_loop().time()
        for connection, timer in list(self._timers.items()):
            timer.cancel()
            self._start_timer(connection, self._remaining)

    @contextmanager
    def terminating(self, connection: AsyncConnection) -> Iterator[None]:
        """Close the connection if the time runs out within the context."""
        with self.spending() as remaining:
            if remaining is None:
                yield
                return
            self._start_timer(connection, remaining)
            try:
                yield
            finally:
                if timer := self._timers.pop(connection, None):
                    timer.cancel()

    def _start_timer(self, connection: AsyncConnection, seconds: float) -> None:
        loop = asyncio.get_running_loop()
        self._timers[connection] = loop.call_later(seconds, _terminate, connection)

    @contextmanager
    def spending(self) -> Iterator[float | None]:
        """Yield the remaining seconds, and count the time spent within the context."""
        self._update(self._counts_all_time)
        try:
            yield self._remaining
        finally:
            self._update(True)

    def _update(self, counts: bool) -> None:
        now = asyncio.get_running_loop().time()
        if self._remaining is not None and counts:
            self._remaining = max(0.0, self._remaining - (now - self._updated_at))
        self._updated_at = now


_current: ContextVar[Deadline] = ContextVar("deadline")


@contextmanager
def request_deadline(seconds: float, *, counts_all_time: bool) -> Iterator[Deadline]:
    """Set a deadline for the context and for the tasks started within it."""
    deadline = Deadline(seconds, counts_all_time=counts_all_time)
    token = _current.set(deadline)
    try:
        yield deadline
    finally:
        _current.reset(token)


async def within_deadline(awaitable: Awaitable[_T]) -> _T:
    """Await a result; raises TimeoutError at the deadline of the request."""
    deadline = _current.get(None)
    if deadline is None:
        return await awaitable
    with deadline.spending() as remaining:
        async with asyncio.timeout(remaining):
            return await awaitable


async def restart_deadline_after_each(parts: AsyncIterable[_T]) -> AsyncGenerator[_T, None]:
    """Yield the parts of a long stream; the deadline starts over with each part."""
    async for part in parts:
        if deadline := _current.get(None):
            deadline.restart()
        yield part


def terminate_at_deadline(connection: AsyncConnection) -> AbstractContextManager[None]:
    """Close the connection if the deadline of the request passes within the context."""
    deadline = _current.get(None)
    return deadline.terminating(connection) if deadline else nullcontext()


def _terminate(connection: AsyncConnection) -> None:
    try:
        pooled = connection.sync_connection and connection.sync_connection.connection
    except InvalidRequestError:  # it is closed or invalidated already
        return
    if pooled and pooled.driver_connection is not None:
        pooled.driver_connection.terminate()
