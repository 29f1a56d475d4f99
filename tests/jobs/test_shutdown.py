"""The worker stops in time although jobs, the database or Redis hang."""

import asyncio
import signal
from asyncio.subprocess import Process
from time import monotonic

import pytest
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from app.jobs.worker import DRAIN_TIMEOUT
from app.outbox import repository as outbox
from app.outbox.models import OutboxEntry
from app.settings import Settings
from app.shutdown import FORCED_EXIT_CODE, SHUTDOWN_SECONDS
from tests.support.proxy import postgresql_proxy
from tests.support.worker import open_entries, until, worker_process

SHORT = pytest.param(6.0, 20.0)
"""The seconds that the worker has, and those in which a busy machine must have seen its end."""
IN_EARNEST = pytest.param(SHUTDOWN_SECONDS, SHUTDOWN_SECONDS, marks=pytest.mark.slow)
PROGRAM = ("-m", "tests.support.stubborn_worker")


async def begun(connection: AsyncConnection, job: str) -> bool:
    attempts = select(func.sum(OutboxEntry.attempts)).where(OutboxEntry.job == job)
    return bool((await connection.execute(attempts)).scalar_one())


async def ended_in(process: Process) -> float:
    """Ask a worker to end, and return the seconds that it took."""
    asked = monotonic()
    process.send_signal(signal.SIGTERM)
    await asyncio.wait_for(process.wait(), SHUTDOWN_SECONDS + 5)
    return monotonic() - asked


@pytest.mark.parametrize(("given", "limit"), [SHORT, IN_EARNEST])
async def test_a_worker_ends_in_time_despite_hanging_jobs(
    connection: AsyncConnection, settings: Settings, given: float, limit: float
) -> None:
    settings = settings.model_copy(update={"job_lease": 1})
    await outbox.record_job(connection, "ignores", {})
    async with worker_process(settings, *PROGRAM, str(given), "worker") as process:
        await until(lambda: begun(connection, "ignores"))
        await outbox.record_job(connection, "blocks", {})
        await until(lambda: begun(connection, "blocks"))
        assert await ended_in(process) < limit
        assert process.returncode == FORCED_EXIT_CODE
    # Neither is lost: another worker will take them up.
    assert await open_entries(connection, "ignores") == 1
    assert await open_entries(connection, "blocks") == 1


@pytest.mark.parametrize(("given", "limit"), [SHORT, IN_EARNEST])
async def test_a_worker_ends_in_time_without_database_and_redis(
    connection: AsyncConnection, settings: Settings, given: float, limit: float
) -> None:
    async with postgresql_proxy(settings.database_url) as proxy:
        away = settings.model_copy(
            update={"database_url": proxy.url, "redis_url": "unix:///nowhere", "job_lease": 1}
        )
        await outbox.record_job(connection, "waits", {})
        async with worker_process(away, *PROGRAM, str(given), "worker") as process:
            await until(lambda: begun(connection, "waits"))
            proxy.forwards_replies.clear()
            seconds = await ended_in(process)
            proxy.forwards_replies.set()
        assert seconds < limit
        assert process.returncode == 0
    assert await open_entries(connection, "waits") == 1


async def test_a_second_signal_ends_the_worker_at_once(
    connection: AsyncConnection, settings: Settings
) -> None:
    await outbox.record_job(connection, "ignores", {})
    async with worker_process(settings, *PROGRAM, str(SHUTDOWN_SECONDS), "worker") as process:
        await until(lambda: begun(connection, "ignores"))
        process.send_signal(signal.SIGINT)
        await asyncio.sleep(0.2)
        assert process.returncode is None
        assert await ended_in(process) < DRAIN_TIMEOUT / 2
        assert process.returncode == FORCED_EXIT_CODE
