"""Every background loop ends when it is cancelled.

On Python 3.11, redis-py answers many cancellations with an error of its own, so each loop is
cancelled a few hundred times, amid its work with a real server.
"""

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from datetime import timedelta
from random import Random
from typing import Any, Final

import pytest
from arq.worker import Worker
from limits import parse
from structlog.testing import capture_logs

from app.api.middleware import rate_limit
from app.api.middleware.rate_limit import RateLimits
from app.database.engine import Database
from app.jobs.claimed_entry import ClaimedEntry, EntryFinisher
from app.jobs.worker import WorkerProcess
from app.outbox import repository as outbox
from app.outbox.notifier import Notifier
from app.settings import Settings
from tests.support.worker import worker_here

TIMES: Final = 300
SECONDS: Final = 30.0
"""The time a loop may take to end; one that hides its cancellation never does."""
# redis-py leaves connections that were being opened to the garbage collector.
pytestmark = pytest.mark.filterwarnings(
    "ignore:unclosed:ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"
)


async def assert_ends(loop: Callable[[], Coroutine[Any, Any, None]], longest: float) -> None:
    """Cancel a loop after up to `longest` seconds of work, many times; each time it ends."""
    moments = Random(11)
    for time in range(TIMES):
        task = asyncio.create_task(loop())
        await asyncio.sleep(moments.uniform(0, longest))
        assert not task.done(), "the loop ended before it was asked to"
        task.cancel()
        await asyncio.wait([task], timeout=SECONDS)
        ended = task.cancelled()
        while not task.done():  # else the test's own event loop would wait for it
            task.cancel()
            await asyncio.sleep(0.01)
        assert ended, f"the loop went on after cancellation {time}"


async def test_the_sharing_of_rate_limits_ends(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rate_limit, "SHARE_INTERVAL", 0)
    limits = RateLimits(settings.model_copy(update={"rate_limit_token": parse("10/minute")}))
    assert limits.token is not None
    share = limits.token.share

    async def share_a_request() -> None:
        assert limits.token is not None
        limits.token.count("key")
        await share()

    monkeypatch.setattr(limits.token, "share", share_a_request)
    async with limits.shared():
        await assert_ends(limits.share_forever, 0.003)


async def test_a_loop_that_notifies_the_worker_ends(settings: Settings) -> None:
    notifier = Notifier(settings)

    async def notifying() -> None:
        while True:
            await notifier.notify_worker()

    try:
        await assert_ends(notifying, 0.003)
    finally:
        await notifier.aclose()


async def test_the_renewal_of_a_lease_ends(database: Database) -> None:
    async with database.transaction() as connection:
        await outbox.record_job(connection, "job", {})
        (claim,) = await outbox.claim_due(connection, 1, timedelta(minutes=5))
    entry = ClaimedEntry(database, EntryFinisher(database), claim, lease=timedelta(0))
    await assert_ends(entry._renew, 0.01)


async def test_a_worker_that_is_stopped_during_a_poll_ends(
    settings: Settings,
) -> None:
    moments = Random(13)
    with capture_logs():
        for time in range(TIMES // 3):
            process = WorkerProcess(settings)
            running = asyncio.create_task(process.run())
            await asyncio.sleep(moments.uniform(0.005, 0.04))
            assert not running.done(), "the worker ended before it was asked to"
            process.stop()
            await asyncio.wait([running], timeout=SECONDS)
            assert running.done(), f"the worker went on after stop {time}"
            await running


async def test_a_worker_ends_arq_although_a_cancellation_was_hidden(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first poll hides it, as redis-py does on Python 3.11, and goes on with real calls."""
    polling: asyncio.Future[Worker] = asyncio.get_running_loop().create_future()
    poll = Worker._poll_iteration

    async def hide_a_cancellation(worker: Worker) -> None:
        monkeypatch.setattr(Worker, "_poll_iteration", poll)
        polling.set_result(worker)
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(2 * SECONDS)
        await poll(worker)

    monkeypatch.setattr(Worker, "_poll_iteration", hide_a_cancellation)
    async with worker_here(settings):
        worker = await polling
    assert worker.main_task is not None
    assert worker.main_task.done()
    connections = worker.pool.connection_pool._available_connections
    assert [each.is_connected for each in connections] == [False]
