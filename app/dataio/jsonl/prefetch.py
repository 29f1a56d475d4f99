"""Prefetch: a task parses the next lines while PostgreSQL writes the records before them.

    async with prefetch(read_lines(stream)) as lines:
        async for line in lines:
            await loader.add(line.content)

The task runs in the thread of the import: a second Python thread would not parse faster, and a task
can be cancelled. The lines arrive one by one and in order. An error of the reader is raised after
the lines before it.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Final, Generic, Protocol, TypeVar

from app.dataio.loader import BATCH_BYTES, BATCH_RECORDS

_LINES_BETWEEN_YIELDS: Final = 16
"""After this many lines the task yields to the import, which may have a response of PostgreSQL."""
_BYTES_BETWEEN_YIELDS: Final = 64 * 1024


class Sized(Protocol):
    """A line."""

    @property
    def size(self) -> int:
        """In bytes."""


_Line = TypeVar("_Line", bound=Sized)


@asynccontextmanager
async def prefetch(lines: Iterator[_Line]) -> AsyncIterator["PrefetchedLines[_Line]"]:
    """Yield an iterator over the lines, which holds up to one batch of them ready.

    The iterator raises what `lines` raises. Reading stops at the end of the context.
    """
    prefetched = PrefetchedLines(lines)
    try:
        yield prefetched
    finally:
        await prefetched.close()


class PrefetchedLines(Generic[_Line]):
    """The lines that are ready, and the task that reads them."""

    def __init__(self, lines: Iterator[_Line]) -> None:
        self._ready: deque[_Line] = deque()
        self._bytes = 0
        self._has_lines = asyncio.Event()
        self._has_space = asyncio.Event()
        self._task = asyncio.create_task(self._read(lines))

    def __aiter__(self) -> "PrefetchedLines[_Line]":
        return self

    async def __anext__(self) -> _Line:
        while not self._ready:
            if self._task.done():
                self._task.result()
                raise StopAsyncIteration
            self._has_lines.clear()
            await self._has_lines.wait()
        line = self._ready.popleft()
        self._bytes -= line.size
        self._has_space.set()
        return line

    async def close(self) -> None:
        """Stop reading, and discard the remaining lines or error."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _read(self, lines: Iterator[_Line]) -> None:
        line_count = byte_count = 0
        try:
            for line in lines:
                self._ready.append(line)
                self._bytes += line.size
                line_count += 1
                byte_count += line.size
                if line_count < _LINES_BETWEEN_YIELDS and byte_count < _BYTES_BETWEEN_YIELDS:
                    continue
                line_count = byte_count = 0
                self._has_lines.set()
                await asyncio.sleep(0)
                while len(self._ready) >= BATCH_RECORDS or self._bytes >= BATCH_BYTES:
                    self._has_space.clear()
                    await self._has_space.wait()
        finally:
            self._has_lines.set()
