import asyncio
import socket
from pathlib import Path
from time import monotonic

import pytest

from app.outbox import notifier as module
from app.outbox.notifier import RUN_DUE_JOBS, Notifier, create_redis_client
from app.settings import Settings


async def queued(settings: Settings) -> list[str]:
    redis = create_redis_client(settings, timeout=5)
    try:
        return [job.function for job in await redis.queued_jobs()]
    finally:
        await redis.aclose(close_connection_pool=True)


async def test_notifications_become_one_job_as_json(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "NOTIFY_TIMEOUT", 60)
    notifier = Notifier(settings)
    await asyncio.gather(*(notifier.notify_worker() for _ in range(5)))
    await notifier.aclose()
    assert await queued(settings) == [RUN_DUE_JOBS]


async def test_without_redis_a_notification_is_quick_and_silent(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "NOTIFY_TIMEOUT", 60)
    notifier = Notifier(
        settings.model_copy(update={"redis_url": f"unix://{tmp_path}/nothing.sock"})
    )
    start = monotonic()
    for _ in range(20):
        await notifier.notify_worker()
    assert monotonic() - start < module.NOTIFY_TIMEOUT
    await notifier.aclose()


async def test_a_hanging_redis_costs_one_timeout(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "NOTIFY_TIMEOUT", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as mute:
        port = mute.getsockname()[1]
        notifier = Notifier(
            settings.model_copy(update={"redis_url": f"redis://127.0.0.1:{port}/0"})
        )
        start = monotonic()
        for _ in range(10):
            await notifier.notify_worker()
        assert monotonic() - start < 5 * module.NOTIFY_TIMEOUT
        await notifier.aclose()


@pytest.fixture
def redis_socket(settings: Settings) -> Path:
    place = Path(settings.redis_url.removeprefix("unix://"))
    if not place.is_socket():
        pytest.skip("Redis is not on a socket here")
    return place


async def test_notifications_resume_when_redis_is_back(
    settings: Settings, redis_socket: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Redis is reached through a path that does not exist at first."""
    monkeypatch.setattr("app.redis.RETRY_AFTER", 0.05)
    door = tmp_path / "redis.sock"
    notifier = Notifier(settings.model_copy(update={"redis_url": f"unix://{door}"}))
    await notifier.notify_worker()
    assert await queued(settings) == []
    door.symlink_to(redis_socket)
    await notifier.notify_worker()
    assert await queued(settings) == []
    await asyncio.sleep(0.06)
    await notifier.notify_worker()
    assert await queued(settings) == [RUN_DUE_JOBS]
    await notifier.aclose()
