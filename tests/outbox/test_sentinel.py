"""Redis behind sentinels: after a failover the service uses the new master."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from limits import parse
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from app.api.middleware.sliding_windows import SlidingWindows
from app.database.engine import Database
from app.doctor import services
from app.doctor.check_result import Level
from app.health import Readiness
from app.jobs.worker import is_alive
from app.outbox import repository as outbox
from app.outbox.models import OutboxEntry
from app.outbox.notifier import RUN_DUE_JOBS, Notifier
from app.settings import Settings
from tests.doctor.results import collect, is_well, only
from tests.outbox.test_notifier import queued
from tests.support.sentinel import Sentinels, sentinels
from tests.support.worker import until, worker_here

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("child_processes")]


@pytest.fixture
async def servers(tmp_path: Path) -> AsyncIterator[Sentinels]:
    async with sentinels(tmp_path) as servers:
        yield servers


async def test_clients_follow_a_failover(
    servers: Sentinels,
    settings: Settings,
    database: Database,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("app.redis.RETRY_AFTER", 0.1)
    settings = settings.model_copy(update={"redis_url": servers.url})
    assert is_well(await collect(services.redis(settings)))
    absent = only(await collect(services.sentinels(settings)), Level.WARNING)
    assert absent.startswith("the sentinel 127.0.0.1:")
    scheme, _, rest = servers.url.partition("//")
    present = {"redis_url": f"{scheme}//{rest.partition(',')[2]}"}
    assert is_well(await collect(services.sentinels(settings.model_copy(update=present))))
    elsewhere = {"redis_url": f"{present['redis_url'].partition('/main')[0]}/other"}
    message = only(
        await collect(services.sentinels(settings.model_copy(update=elsewhere))), Level.WARNING
    )
    assert "it does not monitor other" in message
    notifier, windows = Notifier(settings), SlidingWindows(settings)
    readiness = Readiness(settings, database)
    rate = parse("100/hour")

    async def count() -> int:
        return (await windows.add(rate, "test", "key", 1)).remaining

    assert await readiness.redis() == "ok"
    assert [await count() for _ in range(3)] == [99, 98, 97]
    await notifier.notify_worker()
    assert await queued(settings) == [RUN_DUE_JOBS]

    servers.master.kill()
    assert await readiness.redis() == "unreachable"
    assert await count() == 99  # in this process's memory

    async def recovered() -> bool:
        return await readiness.redis() == "ok"

    await until(recovered)

    async def shared_again() -> bool:
        return await count() < 97

    await until(shared_again)  # the replica has the counts
    await notifier.notify_worker()
    assert await queued(settings) == [RUN_DUE_JOBS]
    assert is_well(await collect(services.redis(settings)))
    for each in (notifier, windows, readiness):
        await each.aclose()


async def test_a_worker_loses_no_job_in_a_failover(
    servers: Sentinels, settings: Settings, connection: AsyncConnection
) -> None:
    settings = settings.model_copy(update={"redis_url": servers.url})

    async def done() -> int:
        entries = select(OutboxEntry.id).where(OutboxEntry.done_at.is_not(None))
        return len((await connection.execute(entries)).all())

    async def alive() -> bool:
        return await is_alive(settings)

    async with worker_here(settings):
        await until(alive)
        before = await done()
        servers.master.kill()
        await outbox.record_job(connection, "purge_answers", {})

        async def ran() -> bool:
            return await done() > before

        await until(ran)
        await until(alive)
