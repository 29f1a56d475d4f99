"""A Redis with a replica, and a sentinel that promotes it if the master is gone."""

import subprocess
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import RedisError

from app.local.embedded.accounts import unprivileged_account
from app.local.embedded.binaries import find_valkey
from tests.support.server import free_port
from tests.support.worker import until

SERVICE = "main"


@dataclass(frozen=True)
class Sentinels:
    """Running servers."""

    url: str
    """REDIS_URL, with a sentinel that is not there before the one that is."""
    master: subprocess.Popen[bytes]


@asynccontextmanager
async def sentinels(place: Path) -> AsyncIterator[Sentinels]:
    """Run a master, its replica and a sentinel for the length of the context."""
    program = str(find_valkey(unprivileged_account(place)))
    master, replica, sentinel = free_port(), free_port(), free_port()
    configuration = place / "sentinel.conf"
    configuration.write_text(
        f"port {sentinel}\nbind 127.0.0.1\ndir {place}\n"
        f"sentinel monitor {SERVICE} 127.0.0.1 {master} 1\n"
        f"sentinel down-after-milliseconds {SERVICE} 500\n"
        f"sentinel failover-timeout {SERVICE} 5000\n"
    )
    options = ["--bind", "127.0.0.1", "--save", "", "--dir", str(place)]
    with ExitStack() as servers:

        def start(*arguments: str) -> subprocess.Popen[bytes]:
            process = subprocess.Popen([program, *arguments], stdout=subprocess.DEVNULL)
            servers.callback(process.wait)
            servers.callback(process.kill)
            return process

        process = start("--port", str(master), *options)
        start("--port", str(replica), *options, "--replicaof", "127.0.0.1", str(master))

        async def follows() -> bool:
            return bool((await _info(replica)).get("master_link_status") == "up")

        await until(follows)
        start(str(configuration), "--sentinel")

        async def monitors() -> bool:
            return bool((await _info(sentinel)).get("master0", {}).get("slaves") == 1)

        await until(monitors)
        yield Sentinels(
            f"redis+sentinel://127.0.0.1:{free_port()},127.0.0.1:{sentinel}/{SERVICE}/1", process
        )


async def _info(port: int) -> dict[str, Any]:
    client = Redis(port=port)
    try:
        return await client.info()  # type: ignore[no-any-return]  # redis has no types here
    except RedisError:
        return {}
    finally:
        await client.aclose()
