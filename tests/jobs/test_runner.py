import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from app import clock
from app.database.engine import Database
from app.jobs.claimed_entry import MAX_ATTEMPTS, retry_delay
from app.jobs.runner import Job, JobRun, JobRunner
from app.outbox import repository as outbox
from app.outbox.models import OutboxEntry
from app.outbox.outcome import JobSummary, PermanentError, RetryAfter
from app.settings import Settings

NOON = datetime(2026, 11, 2, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
Make = Callable[..., JobRunner]
Function = Callable[..., Awaitable[JobSummary | None]]


@pytest.fixture
async def runner_of(settings: Settings) -> AsyncIterator[Make]:
    """Makes runners of a job `j`, each with connections of its own, as a process has."""
    made: list[tuple[JobRunner, Database]] = []

    def of(
        function: Callable[..., Awaitable[JobSummary | None]],
        limit: timedelta = MINUTE,
        **changes: Any,
    ) -> JobRunner:
        changed = settings.model_copy(update=changes)
        database = Database(changed)
        runner = JobRunner(database, changed, {"j": Job(function, limit, "A job of a test.")})
        made.append((runner, database))
        return runner

    yield of
    for runner, database in made:
        await runner.stop(0)
        await database.close()


async def the_entry(connection: AsyncConnection) -> Any:
    return (await connection.execute(select(OutboxEntry.__table__))).one()


async def test_entries_are_run_with_their_arguments_and_done(
    runner_of: Make, connection: AsyncConnection
) -> None:
    given = []

    async def job(run: JobRun, *, number: int) -> None:
        given.append(number)

    for number in range(30):
        await outbox.record_job(connection, "j", {"number": number})
    runner = runner_of(job, database_pool_size=4)
    assert await runner.start_due_jobs() == 2
    assert await runner.start_due_jobs() == 0
    await runner.wait_until_idle()
    assert sorted(given) == list(range(30))
    open_ = await connection.execute(select(OutboxEntry.id).where(OutboxEntry.done_at.is_(None)))
    assert open_.all() == []


async def test_two_runners_share_the_work(runner_of: Make, connection: AsyncConnection) -> None:
    runs: Counter[int] = Counter()

    async def job(run: JobRun, *, number: int) -> None:
        runs[number] += 1
        await asyncio.sleep(0.01)

    for number in range(30):
        await outbox.record_job(connection, "j", {"number": number})
    runners = [runner_of(job) for _ in range(2)]
    await asyncio.gather(*(runner.start_due_jobs() for runner in runners))
    for runner in runners:
        await runner.wait_until_idle()
    assert runs == dict.fromkeys(range(30), 1)


async def test_a_failure_is_retried_after_growing_delays(
    runner_of: Make, connection: AsyncConnection
) -> None:
    async def job(run: JobRun) -> None:
        raise ValueError("not\0today")

    clock.freeze(NOON)
    await outbox.record_job(connection, "j", {})
    runner = runner_of(job)
    moment = NOON
    for attempt in range(1, MAX_ATTEMPTS):
        clock.freeze(moment)
        assert await runner.start_due_jobs() == 1
        await runner.wait_until_idle()
        entry = await the_entry(connection)
        assert (entry.attempts, entry.done_at) == (attempt, None)
        assert entry.last_error == "ValueError: not today"
        assert entry.due_at == moment + retry_delay(attempt)
        moment = entry.due_at
    clock.freeze(moment)
    await runner.start_due_jobs()
    await runner.wait_until_idle()
    entry = await the_entry(connection)
    assert (entry.done_at, entry.last_error) == (moment, "ValueError: not today")


def test_delays_grow_to_an_hour() -> None:
    pauses = [retry_delay(attempt).total_seconds() for attempt in range(1, MAX_ATTEMPTS)]
    assert pauses[:4] == [10, 30, 90, 270]
    assert pauses == sorted(pauses)
    assert pauses[-1] == 3600


async def test_a_permanent_error_is_not_retried(
    runner_of: Make, connection: AsyncConnection
) -> None:
    async def job(run: JobRun) -> None:
        raise PermanentError("There is no such invoice.")

    await outbox.record_job(connection, "j", {})
    runner = runner_of(job)
    await runner.start_due_jobs()
    await runner.wait_until_idle()
    entry = await the_entry(connection)
    assert entry.done_at is not None
    assert entry.last_error == "There is no such invoice."


async def test_a_job_that_kills_each_worker_is_abandoned(
    runner_of: Make, connection: AsyncConnection
) -> None:
    runs = []

    async def job(run: JobRun) -> None:
        runs.append(1)

    await outbox.record_job(connection, "j", {})
    await connection.execute(update(OutboxEntry).values(attempts=100))
    runner = runner_of(job)
    await runner.start_due_jobs()
    await runner.wait_until_idle()
    entry = await the_entry(connection)
    assert entry.done_at is not None
    assert entry.last_error == "Started 100 times and never finished."
    assert not runs


async def test_retry_after_has_a_minimum_delay(
    runner_of: Make, connection: AsyncConnection
) -> None:
    clock.freeze(NOON)

    async def job(run: JobRun) -> None:
        raise RetryAfter(-MINUTE)

    await outbox.record_job(connection, "j", {})
    runner = runner_of(job)
    await runner.start_due_jobs()
    await runner.wait_until_idle()
    entry = await the_entry(connection)
    assert (entry.attempts, entry.due_at) == (1, NOON + timedelta(seconds=1))


async def test_retry_after_is_no_failure(runner_of: Make, connection: AsyncConnection) -> None:
    clock.freeze(NOON)

    async def job(run: JobRun) -> None:
        raise RetryAfter(MINUTE)

    await outbox.record_job(connection, "j", {})
    runner = runner_of(job)
    await runner.start_due_jobs()
    await runner.wait_until_idle()
    entry = await the_entry(connection)
    assert (entry.done_at, entry.last_error, entry.due_at) == (None, "", NOON + MINUTE)


async def test_a_summary_with_failures_is_a_failure(
    runner_of: Make, connection: AsyncConnection
) -> None:
    async def job(run: JobRun) -> JobSummary:
        return JobSummary(failures=[f"invoice {number}" for number in range(30)])

    await outbox.record_job(connection, "j", {})
    runner = runner_of(job)
    await runner.start_due_jobs()
    await runner.wait_until_idle()
    entry = await the_entry(connection)
    assert entry.done_at is None
    assert entry.last_error.startswith("30 failed: invoice 0; invoice 1;")
    assert entry.last_error.endswith("; and 10 more")


async def test_an_unknown_job_waits_for_a_worker_that_knows_it(
    runner_of: Make, connection: AsyncConnection
) -> None:
    async def job(run: JobRun) -> None:
        pass

    await outbox.record_job(connection, "of-tomorrow", {})
    runner = runner_of(job)
    await runner.start_due_jobs()
    await runner.wait_until_idle()
    entry = await the_entry(connection)
    assert entry.done_at is None
    assert "no job of-tomorrow" in entry.last_error


async def test_a_job_beyond_its_time_limit_is_cancelled(
    runner_of: Make, connection: AsyncConnection
) -> None:
    async def job(run: JobRun) -> None:
        await asyncio.sleep(60)

    await outbox.record_job(connection, "j", {})
    runner = runner_of(job, limit=timedelta(seconds=0.05))
    await runner.start_due_jobs()
    await runner.wait_until_idle()
    assert "TimeoutError" in (await the_entry(connection)).last_error


async def test_a_claim_is_renewed_while_its_job_runs(
    runner_of: Make, connection: AsyncConnection
) -> None:
    runs = []

    async def job(run: JobRun) -> None:
        runs.append(1)
        await asyncio.sleep(3.5)

    await outbox.record_job(connection, "j", {})
    runner, other = (runner_of(job, job_lease=3) for _ in range(2))
    await runner.start_due_jobs()
    while not (await the_entry(connection)).done_at:
        assert await other.start_due_jobs() == 0
        await asyncio.sleep(0.1)
    assert runs == [1]


async def test_a_stopping_runner_releases_its_jobs(
    runner_of: Make, connection: AsyncConnection
) -> None:
    started = asyncio.Event()

    async def slow(run: JobRun) -> None:
        started.set()
        await asyncio.sleep(60)

    async def quick(run: JobRun) -> None:
        pass

    await outbox.record_job(connection, "j", {})
    runner = runner_of(slow)
    await runner.start_due_jobs()
    await started.wait()
    await runner.stop(0.01)
    assert await runner.start_due_jobs() == 0
    other = runner_of(quick)
    assert await other.start_due_jobs() == 1
    await other.wait_until_idle()
    assert (await the_entry(connection)).done_at is not None


async def test_a_stopping_runner_lets_its_jobs_end(
    runner_of: Make, connection: AsyncConnection
) -> None:
    async def job(run: JobRun) -> None:
        await asyncio.sleep(0.2)

    for _ in range(9):
        await outbox.record_job(connection, "j", {})
    runner = runner_of(job, database_pool_size=4)
    await runner.start_due_jobs()
    await runner.stop(10)
    done = await connection.execute(select(OutboxEntry.id).where(OutboxEntry.done_at.is_not(None)))
    assert len(done.all()) == 2


async def test_a_job_finishes_its_entry_in_its_own_transaction(
    runner_of: Make, database: Database, connection: AsyncConnection
) -> None:
    """A worker whose claim lapsed in mid-job cannot repeat what another has done."""
    halfway, go_on = asyncio.Event(), asyncio.Event()

    async def late(run: JobRun) -> None:
        halfway.set()
        await go_on.wait()
        async with run.database.transaction() as transaction:
            await outbox.record_job(transaction, "effect", {})
            await run.finish(transaction)

    async def prompt(run: JobRun) -> None:
        async with run.database.transaction() as transaction:
            await run.finish(transaction)
            await outbox.record_job(transaction, "effect", {}, NOON + timedelta(days=9999))

    await outbox.record_job(connection, "j", {})
    first, second = runner_of(late), runner_of(prompt)
    await first.start_due_jobs()
    await halfway.wait()
    clock.freeze(clock.now() + timedelta(seconds=31))
    assert await second.start_due_jobs() == 1
    await second.wait_until_idle()
    go_on.set()
    await first.wait_until_idle()
    effects = await connection.execute(select(OutboxEntry.id).where(OutboxEntry.job == "effect"))
    assert len(effects.all()) == 1


async def test_a_database_that_restarts_does_not_lose_the_entry(
    runner_of: Make, connection: AsyncConnection
) -> None:
    runs = []

    async def job(run: JobRun) -> None:
        runs.append(1)
        async with run.database.transaction() as transaction:
            await run.finish(transaction)
            if len(runs) == 1:  # as a restart of the server does to everyone
                await connection.execute(
                    text(
                        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                        " WHERE datname = current_database() AND pid <> pg_backend_pid()"
                    )
                )

    await outbox.record_job(connection, "j", {})
    runner = runner_of(job)
    await runner.start_due_jobs()
    await runner.wait_until_idle()
    entry = await the_entry(connection)
    assert entry.done_at is None
    assert entry.last_error
    clock.freeze(entry.due_at)
    await runner.start_due_jobs()
    await runner.wait_until_idle()
    assert (await the_entry(connection)).done_at is not None
    assert runs == [1, 1]
