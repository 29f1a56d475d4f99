"""Redis is killed, emptied, slow, or refuses writes; it only carries notifications."""

import asyncio

from faults.case import Case
from faults.load import LoadGenerator
from faults.stack import Layout, Stack

_SECONDS = 4.0
_DELAY = 1.0
"""Seconds of each reply of a slow Redis, more than the timeout of a notification."""


async def _killed(stack: Stack, load: LoadGenerator) -> None:
    async with load.running():
        await load.wait_until_healthy()
        stack.valkey.kill()
        await asyncio.sleep(_SECONDS)
        await stack.valkey.start()
        await load.wait_for_recovery()


async def _emptied(stack: Stack, load: LoadGenerator) -> None:
    async with load.running():
        await load.wait_until_healthy()
        for _ in range(20):
            await stack.valkey.flush()
            await asyncio.sleep(_SECONDS / 20)
        await load.wait_for_recovery()


async def _slow(stack: Stack, load: LoadGenerator) -> None:
    proxy = stack.valkey_proxy
    assert proxy is not None
    async with load.running():
        await load.wait_until_healthy()
        proxy.delay = _DELAY
        await asyncio.sleep(_SECONDS)
        proxy.delay = 0
        await load.wait_for_recovery()


async def _still(stack: Stack, load: LoadGenerator) -> None:
    async with load.running():
        await load.wait_until_healthy()
        stack.valkey.pause()
        try:
            await asyncio.sleep(_SECONDS)
        finally:
            stack.valkey.resume()
        await load.wait_for_recovery()


async def _refusing(stack: Stack, load: LoadGenerator) -> None:
    """Let Redis refuse writes first because it is full, then because it is a replica."""
    async with load.running(), stack.valkey.client() as client:
        await load.wait_until_healthy()
        await client.config_set("maxmemory", 1)  # as when it is full
        await asyncio.sleep(_SECONDS)
        await client.config_set("maxmemory", 0)
        await client.replicaof("127.0.0.1", 1)  # as after a failover that the clients missed
        await asyncio.sleep(_SECONDS)
        await client.replicaof("NO", "ONE")
        await load.wait_for_recovery()


CASES = (
    Case("redis-killed", "Redis killed and restarted", _killed),
    Case("redis-emptied", "Redis emptied, twenty times", _emptied),
    Case("redis-slow", "Redis slow: a second for each answer", _slow, layout=Layout(proxied=True)),
    Case("redis-refusing", "Redis refuses to write: full, then a replica", _refusing),
    Case("redis-still", "Redis hangs for 4 seconds", _still),
)
