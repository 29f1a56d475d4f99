"""Work on many rows in batches, so that no transaction lasts long or holds many locks."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import TypeVar

from sqlalchemy.ext.asyncio import AsyncConnection

from app.database.engine import Database

_T = TypeVar("_T")


async def run_in_batches(
    transaction: Callable[[], AbstractAsyncContextManager[AsyncConnection]],
    work: Callable[[AsyncConnection, int], Awaitable[int]],
    size: int,
) -> int:
    """Do work in one transaction after another, until nothing is left; return the total.

    `work` handles up to `size` rows and returns their number. A batch that is not full is the last.
    """
    total = 0
    while True:
        async with transaction() as connection:
            count = await work(connection, size)
        total += count
        if count < size:
            return total


async def read_in_batches(
    database: Database,
    read: Callable[[AsyncConnection, int], Awaitable[Sequence[_T]]],
    key: Callable[[_T], int],
    size: int,
) -> AsyncGenerator[Sequence[_T], None]:
    """Yield rows in batches, each read on its own, so that nothing stays locked in between.

    `read` returns up to `size` rows in the order of their positive `key`, after the key that it
    gets. A batch that is not full is the last.
    """
    after = 0
    while True:
        async with database.reading() as connection:
            rows = await read(connection, after)
        if rows:
            yield rows
        if len(rows) < size:
            return
        after = key(rows[-1])
