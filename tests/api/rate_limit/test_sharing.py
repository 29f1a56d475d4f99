"""Processes count together through Redis, and each for itself while Redis fails."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from limits import parse
from redis.asyncio import Redis
from structlog.testing import capture_logs

from app.api.middleware import rate_limit
from app.api.middleware.rate_limit import Limit, RateLimits
from app.local.embedded.valkey import EmbeddedValkey
from app.settings import Settings


@asynccontextmanager
async def processes(
    settings: Settings, number: int = 2, rate: str = "10/minute"
) -> AsyncIterator[list[Limit]]:
    """Yield the limit of tokens of several processes, which share only on request."""
    update = {"rate_limit_token": parse(rate)}
    limits = [RateLimits(settings.model_copy(update=update)) for _ in range(number)]
    try:
        yield [limit.token for limit in limits if limit.token is not None]
    finally:
        for limit in limits:
            async with limit.shared():
                pass


async def allowed(limit: Limit, times: int, key: str = "a") -> int:
    """Return how many of so many requests are allowed."""
    number = 0
    for _ in range(times):
        if await limit.refusal(key) is None:
            limit.count(key)
            number += 1
    return number


async def test_requests_of_another_process_count(settings: Settings) -> None:
    async with processes(settings) as (one, other):
        assert await allowed(one, 4) == 4
        await one.share()
        assert await allowed(other, 10) == 10  # this process has not read the shared window yet
        await other.share()
        assert await allowed(other, 1) == 0
        await allowed(one, 1)
        await one.share()
        assert await allowed(one, 10) == 0


async def test_a_process_that_has_used_up_its_share_reads_the_window_first(
    settings: Settings,
) -> None:
    async with processes(settings) as (one, other):
        one.count("a")
        await one.share()
        assert await allowed(other, 9) == 9
        await other.share()
        assert await allowed(one, 10) <= 9
        assert await allowed(one, 1) == 0


async def test_a_hundredth_of_the_limit_is_shared_at_once(settings: Settings) -> None:
    async with processes(settings, rate="1000/minute") as (one, other):
        await allowed(one, 9)
        await one.share()
        await allowed(other, 10)
        await other.share()
        assert other.count("a").remaining == 1000 - 10 - 1
        await allowed(one, 1)
        await one.share()
        assert one.count("a").remaining == 1000 - 10 - 10 - 1


async def test_keys_in_redis_expire_and_have_the_name_of_the_queue(settings: Settings) -> None:
    async with processes(settings, 1) as (one,):
        await allowed(one, 1)
        await one.share()
    async with Redis.from_url(settings.redis_url) as redis:
        keys = [key async for key in redis.scan_iter(f"{settings.queue_name}:*")]
        assert len(keys) == 1
        for key in keys:
            assert 0 < await redis.ttl(key) <= 120


async def test_each_counts_for_itself_while_redis_is_away(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.redis.RETRY_AFTER", 0.0)
    place = tmp_path / "valkey"
    with EmbeddedValkey(place) as server:
        settings = settings.model_copy(update={"redis_url": server.url})
    with capture_logs() as logs:
        async with processes(settings, 1) as (one,):
            for _ in range(3):
                assert await allowed(one, 2) == 2
                await one.share()
            assert await allowed(one, 10) == 4
            with EmbeddedValkey(place):
                assert await allowed(one, 1, "b") == 1
                await one.share()
    assert [entry["event"] for entry in logs] == [
        "rate limits not shared",
        "rate limits shared again",
    ]


@pytest.fixture
async def silent_redis() -> AsyncIterator[str]:
    """Yield the URL of a server that accepts connections and never answers."""

    async def read(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_server(read, "127.0.0.1")
    yield f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}/0"
    server.close()


async def test_a_request_does_not_wait_for_a_redis_that_hangs(
    settings: Settings, silent_redis: str
) -> None:
    changed = settings.model_copy(update={"redis_url": silent_redis})
    async with processes(changed, 1) as (one,):
        with capture_logs() as logs:
            async with asyncio.timeout(2):
                assert await allowed(one, 50) == 10
    assert [entry["log_level"] for entry in logs] == ["warning"]


async def test_processes_share_by_themselves(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rate_limit, "SHARE_INTERVAL", 0.01)
    limits = settings.model_copy(update={"rate_limit_token": parse("10/minute")})
    one, other = RateLimits(limits), RateLimits(limits)
    assert one.token is not None
    assert other.token is not None
    async with one.shared(), other.shared(), asyncio.timeout(60):
        assert await allowed(one.token, 6) == 6
        total = 6
        while other.token.count("a").remaining > 0:
            total += 1
            await asyncio.sleep(0.05)
        assert total <= 10
