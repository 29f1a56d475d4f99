"""Work on many rows in batches, so that no transaction lasts long or holds many locks."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import TypeVar

from sqlalchemy.ext.asyncio import AsyncConnection

from app.database.engine import Database
from app.progress import UNWATCHED, Progress

_T = TypeVar("_T")
_Key = TypeVar("_Key")


async def run_in_batches(
    transaction: Callable[[], AbstractAsyncContextManager[AsyncConnection]],
    work: Callable[[AsyncConnection, int], Awaitable[int]],
    size: int,
    progress: Progress = UNWATCHED,
) -> int:
    """Do work in one transaction after another, until nothing is left; return the total.

    `work` handles up to `size` rows and returns their number. A batch that is not full is the last.
    """
    total = 0
    while True:
        async with transaction() as connection:
            count = await work(connection, size)
        total += count
        progress.advance(count)
        if count < size:
            return total


async def read_in_batches(
    database: Database,
    read: Callable[[AsyncConnection, _Key], Awaitable[Sequence[_T]]],
    key: Callable[[_T], _Key],
    size: int,
    start: _Key,
) -> AsyncGenerator[Sequence[_T], None]:
    """Yield rows in batches, each read on its own, so that nothing stays locked in between.

    `read` returns up to `size` rows in the order of their `key`, after the key that it gets, which
    is first `start`. A batch that is not full is the last.
    """
    after = start
    while True:
        async with database.reading() as connection:
            rows = await read(connection, after)
        if rows:
            yield rows
        if len(rows) < size:
            return
        after = key(rows[-1])
