import asyncio
from datetime import UTC, datetime, time, timedelta

import pytest
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from app import clock
from app.database.engine import Database
from app.jobs.registry import build_registry
from app.jobs.schedule import Scheduler, last_due
from app.outbox import repository as outbox
from app.outbox.models import OutboxEntry
from app.settings import Settings
from tests.support.jobs import daily

LEASE = timedelta(seconds=30)


def at(day: int, hour: int, minute: int = 0) -> datetime:
    return datetime(2026, 11, day, hour, minute, tzinfo=UTC)


@pytest.mark.parametrize(
    ("now", "last"),
    [
        (at(2, 0, 5), at(2, 0, 5)),
        (at(2, 0, 4), at(1, 6, 5)),
        (at(2, 6, 4), at(2, 0, 5)),
        (at(2, 23, 59), at(2, 6, 5)),
    ],
)
def test_the_latest_scheduled_time(now: datetime, last: datetime) -> None:
    assert last_due((time(0, 5), time(6, 5)), now) == last


@pytest.mark.parametrize(
    ("job", "now", "last"),
    [
        ("merge_tallies", at(2, 0, 4), at(1, 23, 55)),
        ("merge_tallies", at(2, 12, 24), at(2, 12, 15)),
        ("merge_tallies", at(2, 12, 25), at(2, 12, 25)),
        ("bring_year_forward", at(2, 0), at(2, 0)),
        ("bring_year_forward", at(2, 5, 59), at(2, 0)),
        ("bring_year_forward", at(2, 23, 59), at(2, 6)),
        ("reconcile_totals", at(2, 2, 29), at(1, 2, 30)),
    ],
)
def test_the_latest_due_times_of_jobs(
    job: str, now: datetime, last: datetime, settings: Settings
) -> None:
    assert last_due(build_registry(settings)[job].times, now) == last


async def jobs(connection: AsyncConnection) -> list[str]:
    return list((await connection.execute(select(OutboxEntry.job))).scalars())


async def do_all(connection: AsyncConnection) -> None:
    for claim in await outbox.claim_due(connection, 100, LEASE):
        await outbox.finish_entry(connection, claim)


async def test_each_scheduled_time_is_recorded_once_by_all_workers(
    database: Database, connection: AsyncConnection
) -> None:
    clock.freeze(at(1, 0, 5))
    schedule = daily("close", time(0, 5), time(6, 5))
    workers = [Scheduler(database, schedule) for _ in range(3)]

    async def all_look() -> int:
        found = await asyncio.gather(*(worker.record_due_jobs(clock.now()) for worker in workers))
        return sum(len(names) for names in found)

    assert await all_look() == 1
    await do_all(connection)
    assert await all_look() == 0
    clock.freeze(at(1, 6, 4))
    assert await all_look() == 0
    clock.freeze(at(1, 6, 5))
    assert await all_look() == 1
    assert await jobs(connection) == ["close", "close"]


async def test_a_missed_time_is_recorded_at_the_next_start(
    database: Database, connection: AsyncConnection
) -> None:
    schedule = daily("close", time(0, 5))
    clock.freeze(at(1, 12))
    await Scheduler(database, schedule).record_due_jobs(clock.now())
    await do_all(connection)
    clock.freeze(at(4, 12))
    assert await Scheduler(database, schedule).record_due_jobs(clock.now()) == ["close"]
    await do_all(connection)
    assert await Scheduler(database, schedule).record_due_jobs(clock.now()) == []


async def test_a_job_that_still_runs_is_not_recorded_again(database: Database) -> None:
    schedule = daily("close", time(0, 5))
    clock.freeze(at(1, 12))
    scheduler = Scheduler(database, schedule)
    assert await scheduler.record_due_jobs(clock.now()) == ["close"]
    clock.freeze(at(2, 12))
    assert await scheduler.record_due_jobs(clock.now()) == []
