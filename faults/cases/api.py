"""One of two processes of the API dies."""

import asyncio

from faults.case import Case
from faults.load import LoadGenerator
from faults.stack import Layout, Stack, wait_until_live

_KILLS = 3
_BETWEEN = 0.5


async def _killed(stack: Stack, load: LoadGenerator) -> None:
    async with load.running():
        await load.wait_until_healthy()
        for number in range(_KILLS):
            killed = number % len(stack.apis)
            stack.apis[killed].kill()
            await stack.apis[killed].wait_for_exit()
            await asyncio.sleep(_BETWEEN)
            # The supervisor restarts it; one of the two always runs.
            await wait_until_live(stack.urls[killed])
        await load.wait_for_recovery()


CASES = (
    Case(
        "api-killed",
        "A process of the API killed, one of two, three times",
        _killed,
        seconds=120,
        layout=Layout(apis=2),
        breaks_connections=True,
    ),
)
