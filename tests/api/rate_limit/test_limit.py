"""A limit in one process: the requests that it allows, and the time that it refuses."""

from math import ceil

import pytest
from limits import parse

from app.api.middleware import rate_limit as limit_module
from app.api.middleware import sliding_windows
from app.api.middleware.rate_limit import Limit, Verdict
from app.api.middleware.sliding_windows import SlidingWindows
from app.settings import Settings


class Time:
    """Stands for the time of the limit, and of the library's memory and strategy."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1_800_000_000.0
        monkeypatch.setattr(limit_module, "monotonic", lambda: self.now)
        for module in (limit_module, sliding_windows):
            monkeypatch.setattr(module, "time", lambda: self.now)
        monkeypatch.setattr("time.time", lambda: self.now)


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> Time:
    return Time(monkeypatch)


@pytest.fixture
def windows(settings: Settings) -> SlidingWindows:
    """Windows in memory: there is no Redis."""
    return SlidingWindows(settings.model_copy(update={"redis_url": "unix:///none"}))


async def allowed(limit: Limit, key: str, times: int = 1) -> int:
    return sum([await take(limit, key) is None for _ in range(times)])


async def take(limit: Limit, key: str) -> Verdict | None:
    """Count a request of the key if it is allowed; else return the refusal."""
    refusal = await limit.refusal(key)
    if refusal is None:
        limit.count(key)
    return refusal


async def test_a_key_is_refused_when_its_limit_is_used_up(
    windows: SlidingWindows, time: Time
) -> None:
    limit = Limit("token", parse("3/minute"), windows)
    time.now += 20
    assert [limit.count("a").remaining for _ in range(3)] == [2, 1, 0]
    refusal = await limit.refusal("a")
    assert refusal is not None
    assert refusal[:2] == (False, 0)
    assert refusal.seconds == pytest.approx(40)


async def test_another_key_has_a_limit_of_its_own(windows: SlidingWindows, time: Time) -> None:
    limit = Limit("token", parse("3/minute"), windows)
    assert await allowed(limit, "a", 4) == 3
    assert await allowed(limit, "b") == 1


async def test_the_window_slides(windows: SlidingWindows, time: Time) -> None:
    limit = Limit("token", parse("6/minute"), windows)
    assert await allowed(limit, "a", 10) == 6
    time.now += 90  # half of the six requests still count
    assert await allowed(limit, "a", 10) == 3


@pytest.mark.parametrize("rate", ["1/second", "2/minute", "7/minute", "60/3 minute", "100/hour"])
@pytest.mark.parametrize("start", [0.001, 0.3, 0.99])
async def test_a_client_that_waits_for_retry_after_is_allowed(
    windows: SlidingWindows, time: Time, rate: str, start: float
) -> None:
    limit = Limit("token", parse(rate), windows)
    time.now += start * parse(rate).get_expiry()
    for _ in range(5):
        await allowed(limit, "a", 200)
        refusal = await limit.refusal("a")
        assert refusal is not None
        assert 0 <= refusal.seconds <= parse(rate).get_expiry()
        time.now += max(1, ceil(refusal.seconds)) + 0.001
        assert await limit.refusal("a") is None


async def test_the_least_recently_used_key_makes_room(windows: SlidingWindows) -> None:
    limit = Limit("token", parse("1000/minute"), windows, max_keys=2)
    assert [limit.count(key).remaining for key in "abac"] == [999, 999, 998, 999]
    assert [limit.count(key).remaining for key in "ab"] == [997, 999]


async def test_a_key_that_was_not_seen_for_long_has_its_whole_limit(
    windows: SlidingWindows, time: Time
) -> None:
    limit = Limit("token", parse("3/minute"), windows)
    assert await allowed(limit, "a", 5) == 3
    time.now += 121
    assert limit.count("a").remaining == 2


async def test_memory_is_bounded(windows: SlidingWindows, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sliding_windows, "MEMORY_MAX_KEYS", 3)
    remaining = [
        (await windows.add(parse("9/minute"), "token", key, 1)).remaining for key in "aabcda"
    ]
    assert remaining == [8, 7, 8, 8, 8, 8]


async def test_headers(windows: SlidingWindows, time: Time) -> None:
    limit = Limit("token", parse("2/minute"), windows)
    first = limit.count("a")
    time.now += 0.5
    assert limit.headers(first) == (
        (b"ratelimit-policy", b'"token";q=2;w=60'),
        (b"ratelimit", b'"token";r=1;t=60'),
    )
