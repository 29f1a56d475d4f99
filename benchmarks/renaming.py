"""Renames of resources while something else is measured."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count

import asyncpg  # type: ignore[import-untyped]  # it has no types

from benchmarks.cases import RENAMES_A_SECOND
from benchmarks.shape import Shape
from benchmarks.wrk import LoadFailed

_LEAST = 0.8
"""The part of the wanted renames without which a measurement is void."""


@asynccontextmanager
async def renames(url: str, shape: Shape) -> AsyncIterator[None]:
    """Rename resources of the largest invoice meanwhile, over one connection.

    Raises LoadFailed if the database could not keep the pace.
    """
    connection = await asyncpg.connect(url)
    loop = asyncio.get_running_loop()
    done = 0
    try:
        # The customer's only project has the customer's number.
        rows = await connection.fetch(
            "SELECT id FROM resources WHERE project_id = $1 ORDER BY id", shape.huge_customer
        )
        started = loop.time()

        async def rename() -> None:
            nonlocal done
            for number in count():
                await asyncio.sleep(started + number / RENAMES_A_SECOND - loop.time())
                await connection.execute(
                    "UPDATE resources SET name = $1 WHERE id = $2",
                    f"vm-{number}.cloud.example",
                    rows[number % len(rows)]["id"],
                )
                done += 1

        task = asyncio.create_task(rename())
        try:
            yield
            wanted = (loop.time() - started) * RENAMES_A_SECOND
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
    finally:
        await connection.close()
    if done < wanted * _LEAST:
        raise LoadFailed(f"Only {done} resources were renamed instead of {wanted:.0f}.")
