"""Redis dies, forgets everything, or is slow: it only carries the news that there is work."""

import asyncio

from faults.case import Case
from faults.load import Load
from faults.stack import Layout, Stack

_SECONDS = 4.0
_DELAY = 1.0
"""Seconds that each answer of a slow Redis takes, more than a nudge may take."""


async def _killed(stack: Stack, load: Load) -> None:
    async with load.running():
        await load.well()
        stack.valkey.kill()
        await asyncio.sleep(_SECONDS)
        await stack.valkey.start()
        await load.recovered()


async def _emptied(stack: Stack, load: Load) -> None:
    async with load.running():
        await load.well()
        for _ in range(20):
            await stack.valkey.flush()
            await asyncio.sleep(_SECONDS / 20)
        await load.recovered()


async def _slow(stack: Stack, load: Load) -> None:
    relay = stack.to_valkey
    assert relay is not None
    async with load.running():
        await load.well()
        relay.delay = _DELAY
        await asyncio.sleep(_SECONDS)
        relay.delay = 0
        await load.recovered()


async def _still(stack: Stack, load: Load) -> None:
    async with load.running():
        await load.well()
        stack.valkey.pause()
        try:
            await asyncio.sleep(_SECONDS)
        finally:
            stack.valkey.resume()
        await load.recovered()


async def _refusing(stack: Stack, load: Load) -> None:
    """Let each way in which Redis refuses to write last for a while, one after the other."""
    async with load.running(), stack.valkey.client() as client:
        await load.well()
        await client.config_set("maxmemory", 1)  # what it does by itself when it is full
        await asyncio.sleep(_SECONDS)
        await client.config_set("maxmemory", 0)
        await client.replicaof("127.0.0.1", 1)  # as behind a failover that the clients missed
        await asyncio.sleep(_SECONDS)
        await client.replicaof("NO", "ONE")
        await load.recovered()


CASES = (
    Case("redis-killed", "Redis killed and restarted", _killed),
    Case("redis-emptied", "Redis emptied, twenty times", _emptied),
    Case("redis-slow", "Redis slow: a second for each answer", _slow, layout=Layout(relayed=True)),
    Case("redis-refusing", "Redis refuses to write: full, then a replica", _refusing),
    Case("redis-still", "Redis stands still for 4 seconds", _still),
)
