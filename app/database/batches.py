"""Work on many rows in batches, so that no transaction lasts long or holds many locks."""

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager

from sqlalchemy.ext.asyncio import AsyncConnection


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
