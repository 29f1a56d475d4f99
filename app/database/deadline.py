"""A request's deadline for its work with the database.

PostgreSQL's own timeouts do not help when PostgreSQL hangs or its machine is gone. At the deadline
this side closes the connection; the statement then fails as it does after any lost connection.
Jobs and commands have no deadline.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Final, TypeVar

from sqlalchemy.exc import InvalidRequestError
from sqlalchemy.ext.asyncio import AsyncConnection

from app.database.errors import ConnectionLost

_T = TypeVar("_T")


@dataclass(slots=True)
class Deadline:
    """The time that a request may still spend; all times are by the clock of the event loop.

    If `counts_all_time` is set, all time counts. Otherwise only the time spent on the database
    counts: use this when the client sets the pace, as with an upload.
    """

    seconds: float
    counts_all_time: bool
    updated_at: float
    """When time was last counted."""
    ends_at: float | None
    """When the time runs out if all time counts from `updated_at`; None if it never does."""
    _timers: dict[AsyncConnection, asyncio.TimerHandle] = field(default_factory=dict)

    def cancel(self) -> None:
        """Remove the deadline: a response that has started goes at its client's pace."""
        self.ends_at = None
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()

    def restart(self) -> None:
        """Start over with the full time. Call it on progress, so that only a hang runs out."""
        if self.ends_at is None:
            return
        loop = asyncio.get_running_loop()
        self.updated_at = loop.time()
        self.ends_at = self.updated_at + self.seconds
        for connection, timer in list(self._timers.items()):
            timer.cancel()
            self._timers[connection] = loop.call_at(self.ends_at, self._terminate, connection)

    @contextmanager
    def spending(self, connection: AsyncConnection | None = None) -> Iterator[float | None]:
        """Yield when the time runs out, and count the time spent within the context.

        A connection is closed if the time runs out within the context. Raises ConnectionLost if
        the driver fails by that.
        """
        if self.ends_at is None:
            yield None
            return
        loop = asyncio.get_running_loop()
        if not self.counts_all_time:
            self.ends_at += loop.time() - self.updated_at
        if connection is not None:
            self._timers[connection] = loop.call_at(self.ends_at, self._terminate, connection)
        try:
            yield self.ends_at
        except AttributeError as error:
            # The driver (asyncpg 0.32) uses a protocol that it no longer has, if its connection is
            # closed between the steps of a statement.
            if connection is None or self.ends_at is None or connection in self._timers:
                raise
            raise ConnectionLost(error) from error
        finally:
            self.updated_at = loop.time()
            if connection is not None and (timer := self._timers.pop(connection, None)):
                timer.cancel()

    def _terminate(self, connection: AsyncConnection) -> None:
        del self._timers[connection]
        terminate(connection)


_UNLIMITED: Final = Deadline(0.0, counts_all_time=True, updated_at=0.0, ends_at=None)
current_deadline: Final[ContextVar[Deadline]] = ContextVar("deadline", default=_UNLIMITED)
"""The deadline of the request that runs; outside of requests there is no limit."""


@contextmanager
def request_deadline(seconds: float, *, counts_all_time: bool) -> Iterator[Deadline]:
    """Set a deadline for the context and for the tasks started within it."""
    now = asyncio.get_running_loop().time()
    deadline = Deadline(seconds, counts_all_time, updated_at=now, ends_at=now + seconds)
    token = current_deadline.set(deadline)
    try:
        yield deadline
    finally:
        current_deadline.reset(token)


async def restart_deadline_after_each(parts: AsyncIterable[_T]) -> AsyncGenerator[_T, None]:
    """Yield the parts of a long stream; the deadline starts over with each part."""
    async for part in parts:
        current_deadline.get().restart()
        yield part


def terminate(connection: AsyncConnection) -> None:
    """Close a connection at once; a statement that runs on it fails."""
    try:
        pooled = connection.sync_connection and connection.sync_connection.connection
    except InvalidRequestError:  # it is closed or invalidated already
        return
    if pooled and pooled.driver_connection is not None:
        pooled.driver_connection.terminate()
