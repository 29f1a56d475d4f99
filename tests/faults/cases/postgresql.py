"""PostgreSQL dies, stands still, loses its connections, or has no room left."""

import asyncio

from tests.faults.case import Case
from tests.faults.load import Load
from tests.faults.stack import Stack

_AWAY_SECONDS = 2.0


async def _killed(stack: Stack, load: Load) -> None:
    async with load.running():
        await load.well()
        stack.postgresql.kill()
        await asyncio.sleep(_AWAY_SECONDS)
        await stack.postgresql.start()
        await load.recovered()


CASES = (Case("postgresql-killed", "PostgreSQL killed and restarted", _killed, quick=True),)
