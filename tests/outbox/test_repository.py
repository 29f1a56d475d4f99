import asyncio
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from app import clock
from app.database.engine import Database
from app.outbox import repository as outbox
from app.outbox.models import OutboxEntry

NOON = datetime(2026, 11, 2, 12, tzinfo=UTC)
LEASE = timedelta(seconds=30)


@pytest.fixture(autouse=True)
def _noon() -> None:
    clock.freeze(NOON)


def later(seconds: float) -> None:
    clock.freeze(NOON + timedelta(seconds=seconds))


async def rows(connection: AsyncConnection) -> list[Any]:
    return list(await connection.execute(select(OutboxEntry.__table__).order_by(OutboxEntry.id)))


async def test_a_rollback_removes_the_entry(
    database: Database, connection: AsyncConnection
) -> None:
    async with database.engine.connect() as transaction:
        await outbox.record_job(transaction, "deliver", {"delivery": "x"})
        await transaction.rollback()
    assert await rows(connection) == []


async def test_the_oldest_due_entry_is_claimed_first(connection: AsyncConnection) -> None:
    second = await outbox.record_job(connection, "b", {"n": 2})
    first = await outbox.record_job(connection, "a", {"n": 1}, NOON - timedelta(hours=1))
    await outbox.record_job(connection, "c", {}, NOON + timedelta(seconds=1))
    claims = await outbox.claim_due(connection, 1, LEASE)
    assert [(claim.id, claim.job, claim.arguments) for claim in claims] == [(first, "a", {"n": 1})]
    assert [claim.id for claim in await outbox.claim_due(connection, 9, LEASE)] == [second]
    assert await outbox.claim_due(connection, 9, LEASE) == []


async def test_concurrent_claims_never_share_an_entry(
    database: Database, connection: AsyncConnection
) -> None:
    recorded = {await outbox.record_job(connection, "a", {}) for _ in range(40)}

    async def some() -> list[int]:
        async with database.transaction() as transaction:
            claims = await outbox.claim_due(transaction, 10, LEASE)
            await asyncio.sleep(0.02)
            return [claim.id for claim in claims]

    taken = Counter(id_ for ids in await asyncio.gather(*(some() for _ in range(4))) for id_ in ids)
    assert set(taken) <= recorded
    assert set(taken.values()) == {1}


async def test_a_claim_expires_unless_renewed(connection: AsyncConnection) -> None:
    await outbox.record_job(connection, "a", {})
    (claim,) = await outbox.claim_due(connection, 1, LEASE)
    later(29)
    await outbox.postpone_entry(connection, claim, LEASE)
    later(58)
    assert await outbox.claim_due(connection, 1, LEASE) == []
    later(59)
    (again,) = await outbox.claim_due(connection, 1, LEASE)
    assert (again.id, again.attempt) == (claim.id, 2)
    for write in (
        outbox.finish_entry(connection, claim),
        outbox.postpone_entry(connection, claim, LEASE),
        outbox.postpone_entry(connection, claim, LEASE, "too late"),
        outbox.finish_entry(connection, claim, "too late"),
    ):
        with pytest.raises(outbox.ClaimLost):
            await write
    (row,) = await rows(connection)
    assert (row.done_at, row.last_error) == (None, "")


async def test_an_entry_is_finished_once(connection: AsyncConnection) -> None:
    await outbox.record_job(connection, "a", {})
    (claim,) = await outbox.claim_due(connection, 1, LEASE)
    await outbox.finish_entry(connection, claim)
    with pytest.raises(outbox.ClaimLost):
        await outbox.finish_entry(connection, claim)
    later(3600)
    assert await outbox.claim_due(connection, 1, LEASE) == []


async def test_the_error_of_an_attempt_is_stored_until_success(connection: AsyncConnection) -> None:
    await outbox.record_job(connection, "a", {})
    (claim,) = await outbox.claim_due(connection, 1, LEASE)
    await outbox.postpone_entry(connection, claim, timedelta(seconds=10), "no route")
    (row,) = await rows(connection)
    assert (row.last_error, row.done_at) == ("no route", None)
    later(9)
    assert await outbox.claim_due(connection, 1, LEASE) == []
    later(10)
    (claim,) = await outbox.claim_due(connection, 1, LEASE)
    await outbox.finish_entry(connection, claim)
    (row,) = await rows(connection)
    assert (row.last_error, row.done_at) == ("", NOON + timedelta(seconds=10))


async def test_a_scheduled_job_is_recorded_once(
    database: Database, connection: AsyncConnection
) -> None:
    async def one() -> int | None:
        async with database.transaction() as transaction:
            return await outbox.record_job_once(transaction, "close-month", NOON)

    recorded = await asyncio.gather(*(one() for _ in range(4)))
    assert len([id_ for id_ in recorded if id_ is not None]) == 1
    (claim,) = await outbox.claim_due(connection, 1, LEASE)
    await outbox.finish_entry(connection, claim)
    assert await one() is None
    later(1)
    async with database.transaction() as transaction:
        next_moment = NOON + timedelta(seconds=1)
        assert await outbox.record_job_once(transaction, "close-month", next_moment) is not None
        assert await outbox.record_job_once(transaction, "reconcile", next_moment) is not None


async def test_a_purge_keeps_open_and_young_entries_and_errors_longer(
    connection: AsyncConnection,
) -> None:
    await outbox.record_job(connection, "open", {})
    for job in ("done", "given-up", "done-lately"):
        await outbox.record_job(connection, job, {}, NOON - timedelta(hours=1))
    done, given_up, lately = await outbox.claim_due(connection, 3, LEASE)
    await outbox.finish_entry(connection, done)
    await outbox.finish_entry(connection, given_up, "no such invoice")
    later(outbox.DONE_RETENTION.total_seconds() + 1)
    await outbox.finish_entry(connection, lately)
    assert await outbox.purge_done(connection, limit=10) == 1
    assert [row.job for row in await rows(connection)] == ["open", "given-up", "done-lately"]
