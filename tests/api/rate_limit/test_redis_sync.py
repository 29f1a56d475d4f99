"""Processes that count together through Redis, and each for itself while it is away."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from itertools import repeat
from pathlib import Path

import pytest
from limits import parse
from redis.asyncio import Redis
from structlog.testing import capture_logs

from app.api.middleware.rate_limit import redis_sync
from app.api.middleware.rate_limit.counting import Limit
from app.api.middleware.rate_limit.redis_sync import Sharing
from app.local.embedded.valkey import EmbeddedValkey
from app.settings import Settings

NOW = 1_800_000_030.0
"""Half a minute into a window."""


class Process:
    """One of several that count together."""

    def __init__(self, settings: Settings) -> None:
        self.limit = Limit("token", parse("10/minute"))
        self.sharing = Sharing(settings, [self.limit, Limit("address", parse("10/minute"))])

    def let_in(self, times: int, now: float = NOW, key: str = "a") -> int:
        return sum(self.limit.take(key, now).granted for _ in range(times))


@asynccontextmanager
async def processes(settings: Settings, number: int = 2) -> AsyncIterator[list[Process]]:
    made = [Process(settings) for _ in range(number)]
    try:
        yield made
    finally:
        for process in made:
            await process.sharing.aclose()


async def test_they_learn_what_others_have_counted(settings: Settings) -> None:
    async with processes(settings) as (one, other):
        assert one.let_in(4) == 4
        assert other.let_in(4) == 4
        for process in (one, other, one):
            process.let_in(1)
            await process.sharing.exchange()
        assert one.let_in(10) == 0  # 6 here, 5 there
        # One that begins later hears of the window before, too.
        late = NOW + 60
        async with processes(settings, 1) as (third,):
            assert third.let_in(1, late) == 1
            await third.sharing.exchange()
            assert third.let_in(10, late) == 3  # 5.5 of 11 still count

    async with Redis.from_url(settings.redis_url) as redis:
        keys = [key async for key in redis.scan_iter(f"{settings.queue_name}:*")]
        assert len(keys) == 2
        for key in keys:
            assert 0 < await redis.ttl(key) <= 120


async def test_many_keys_take_several_exchanges(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis_sync, "_BATCH", 3)
    async with processes(settings) as (one, other):
        for key in map(str, range(10)):
            assert one.let_in(10, key=key) == 10
            assert other.let_in(1, key=key) == 1
        await one.sharing.exchange()
        await other.sharing.exchange()
        assert [other.let_in(1, key=str(key)) for key in range(10)] == [0] * 10


async def test_each_counts_for_itself_while_redis_is_away(
    settings: Settings, tmp_path: Path
) -> None:
    place = tmp_path / "valkey"
    with EmbeddedValkey(place) as server:
        settings = settings.model_copy(update={"redis_url": server.url})
    with capture_logs() as logs:
        async with processes(settings, 1) as (one,):
            for _ in repeat(None, 3):
                one.let_in(2)
                await one.sharing.exchange()
            with EmbeddedValkey(place):
                one.let_in(1)
                await one.sharing.exchange()
            assert one.let_in(10) == 3
    assert [entry["event"] for entry in logs] == [
        "rate limits not shared",
        "rate limits shared again",
    ]


async def test_a_redis_that_hangs_is_not_waited_for(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis_sync, "PATIENCE", 0.1)

    async def nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_server(nothing, "127.0.0.1")
    port = server.sockets[0].getsockname()[1]
    changed = settings.model_copy(update={"redis_url": f"redis://127.0.0.1:{port}/0"})
    async with processes(changed, 1) as (one,):
        one.let_in(1)
        with capture_logs() as logs:
            async with asyncio.timeout(5):
                await one.sharing.exchange()
    server.close()
    assert [entry["log_level"] for entry in logs] == ["warning"]


async def test_it_goes_on_by_itself(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redis_sync, "INTERVAL", 0.01)
    async with processes(settings) as (one, other):
        tasks = [asyncio.create_task(process.sharing.run()) for process in (one, other)]
        assert one.let_in(6) == 6
        await _until(lambda: other.let_in(1) == 0)
        await _until(lambda: one.let_in(1) == 0)
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


async def _until(is_so: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not is_so():  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.02)
