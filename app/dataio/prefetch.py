"""Reading ahead: the next lines are read and parsed while PostgreSQL writes those before them.

    async with reading_ahead(read(stream)) as lines:
        async for line in lines:
            await loader.add(line.content)

It is one task beside that of the import, in the same thread: two threads of Python would not parse
faster than one, and a task ends where it is told to. Whoever takes the lines gets them one by one
and in order, and what goes wrong while they are read in its place behind them.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Final, Generic, Protocol, TypeVar

from app.dataio.loader import BATCH, BATCH_BYTES

_TURN: Final = 16
"""After so many lines the import has its turn: the answer of PostgreSQL may be there."""
_TURN_BYTES: Final = 64 * 1024


class Sized(Protocol):
    """What is read."""

    @property
    def size(self) -> int:
        """In bytes."""


_Line = TypeVar("_Line", bound=Sized)


@asynccontextmanager
async def reading_ahead(lines: Iterator[_Line]) -> AsyncIterator["Ahead[_Line]"]:
    """Yield an iterator over the lines, of which as many are ready as a batch may have.

    It raises what `lines` raises. Nothing is read any more once this is left.
    """
    ahead = Ahead(lines)
    try:
        yield ahead
    finally:
        await ahead.close()


class Ahead(Generic[_Line]):
    """Lines that are ready, and the task that reads them."""

    def __init__(self, lines: Iterator[_Line]) -> None:
        self._ready: deque[_Line] = deque()
        self._bytes = 0
        self._more = asyncio.Event()
        self._room = asyncio.Event()
        self._reading = asyncio.create_task(self._read(lines))

    def __aiter__(self) -> "Ahead[_Line]":
        return self

    async def __anext__(self) -> _Line:
        while not self._ready:
            if self._reading.done():
                self._reading.result()
                raise StopAsyncIteration
            self._more.clear()
            await self._more.wait()
        line = self._ready.popleft()
        self._bytes -= line.size
        self._room.set()
        return line

    async def close(self) -> None:
        """Stop reading; what nobody took is forgotten, be it a failure."""
        self._reading.cancel()
        await asyncio.gather(self._reading, return_exceptions=True)

    async def _read(self, lines: Iterator[_Line]) -> None:
        turn = turn_bytes = 0
        try:
            for line in lines:
                self._ready.append(line)
                self._bytes += line.size
                turn += 1
                turn_bytes += line.size
                if turn < _TURN and turn_bytes < _TURN_BYTES:
                    continue
                turn = turn_bytes = 0
                self._more.set()
                await asyncio.sleep(0)
                while len(self._ready) >= BATCH or self._bytes >= BATCH_BYTES:
                    self._room.clear()
                    await self._room.wait()
        finally:
            self._more.set()
