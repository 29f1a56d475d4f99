"""The only place that reads and writes the outbox.

An entry is open until `done_at` is set. Who runs one first claims it: a claim counts as an attempt
and moves `due_at` to when the claim lapses, so that an entry whose worker died comes back by
itself. What is written about an entry afterwards counts only while the claim is still held, which
the number of attempts tells.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import (
    ColumnElement,
    and_,
    delete,
    exists,
    func,
    insert,
    or_,
    select,
    update,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from app import clock
from app.database.server_clock import database_now, time_between
from app.logging import current_request_id
from app.outbox.models import OutboxEntry


class ClaimLost(Exception):
    """The entry was done, or claimed anew, by another in the meantime."""


@dataclass(frozen=True, slots=True)
class OutboxClaim:
    """The right to run an entry until the lease ends."""

    id: int
    job: str
    arguments: dict[str, Any]
    attempt: int
    """The number of this attempt, from 1."""
    request_id: str

    @property
    def _held(self) -> ColumnElement[bool]:
        return and_(
            OutboxEntry.id == self.id,
            OutboxEntry.attempts == self.attempt,
            OutboxEntry.done_at.is_(None),
        )


async def record_job(
    connection: AsyncConnection,
    job: str,
    arguments: dict[str, Any],
    due_at: datetime | None = None,
) -> int:
    """Record a job to run once the caller's transaction has committed; return the entry's id.

    It is due at once unless `due_at` says when. The request that is answered just now is noted.
    """
    now = database_now()
    statement = (
        insert(OutboxEntry)
        .values(
            job=job,
            arguments=arguments,
            created_at=now,
            due_at=due_at or now,
            request_id=current_request_id(),
        )
        .returning(OutboxEntry.id)
    )
    return (await connection.execute(statement)).scalar_one()


async def record_job_once(connection: AsyncConnection, job: str, moment: datetime) -> int | None:
    """Record a job unless one of its name is open, or was recorded at `moment` or later.

    One from the future does not count: a clock that was fast has made it. Two callers at once
    record it once. Returns the entry's id, or None where there was one.
    """
    await connection.execute(select(func.pg_advisory_xact_lock(func.hashtext("outbox:" + job))))
    another = exists().where(
        OutboxEntry.job == job,
        or_(
            OutboxEntry.done_at.is_(None),
            OutboxEntry.created_at.between(moment, database_now() + clock.MAX_DRIFT),
        ),
    )
    if (await connection.execute(select(another))).scalar_one():
        return None
    return await record_job(connection, job, {})


@dataclass(frozen=True, slots=True)
class OpenEntries:
    """The open entries of a job."""

    job: str
    due: int
    """Entries that could be run now."""
    later: int
    """Entries that are being run, or wait for their moment."""
    oldest_due_for: timedelta | None
    """For how long the one that is due longest has been so."""


async def count_open_entries(connection: AsyncConnection) -> list[OpenEntries]:
    """Return what is open of each job that has anything open."""
    now = database_now()
    is_due = OutboxEntry.due_at <= now
    statement = (
        select(
            OutboxEntry.job,
            func.count().filter(is_due),
            func.count().filter(~is_due),
            time_between(func.min(OutboxEntry.due_at).filter(is_due), now),
        )
        .where(OutboxEntry.done_at.is_(None))
        .group_by(OutboxEntry.job)
    )
    return [OpenEntries(*row) for row in await connection.execute(statement)]


async def claim_due(connection: AsyncConnection, limit: int, lease: timedelta) -> list[OutboxClaim]:
    """Claim at most `limit` due entries, those due longest first, for the length of the lease."""
    now = database_now()
    due = (
        select(OutboxEntry.id)
        .where(OutboxEntry.done_at.is_(None), OutboxEntry.due_at <= now)
        .order_by(OutboxEntry.due_at, OutboxEntry.id)
        .limit(limit)
        .with_for_update(skip_locked=True)
        .cte("due")
    )
    statement = (
        update(OutboxEntry)
        .where(OutboxEntry.id == due.c.id)
        .values(attempts=OutboxEntry.attempts + 1, due_at=now + lease)
        .returning(
            OutboxEntry.id,
            OutboxEntry.job,
            OutboxEntry.arguments,
            OutboxEntry.attempts,
            OutboxEntry.request_id,
        )
    )
    rows = await connection.execute(statement)
    return sorted((OutboxClaim(*row) for row in rows), key=lambda claim: claim.id)


async def correct_due_times(connection: AsyncConnection) -> int:
    """Make due what was due at once while the clock was ahead; return how many entries.

    Else they would wait until it is as late again.
    """
    now = database_now()
    statement = (
        update(OutboxEntry)
        .where(
            OutboxEntry.done_at.is_(None),
            OutboxEntry.due_at > now,
            OutboxEntry.due_at == OutboxEntry.created_at,
        )
        .values(due_at=now)
    )
    return (await connection.execute(statement)).rowcount


async def renew_claim(connection: AsyncConnection, claim: OutboxClaim, lease: timedelta) -> None:
    """Hold a claim for another lease from now. Raises ClaimLost."""
    await _write(connection, claim, due_at=database_now() + lease)


async def finish_entry(connection: AsyncConnection, claim: OutboxClaim) -> None:
    """Mark the entry as done. Raises ClaimLost.

    In the transaction of a job's own changes, it makes them happen once, however often it runs.
    """
    await _write(connection, claim, done_at=database_now(), last_error="")


async def postpone_entry(connection: AsyncConnection, claim: OutboxClaim, pause: timedelta) -> None:
    """Make the entry due again after a pause; nothing failed. Raises ClaimLost."""
    await _write(connection, claim, due_at=database_now() + pause)


async def record_failure(
    connection: AsyncConnection, claim: OutboxClaim, error: str, pause: timedelta
) -> None:
    """Keep why an attempt failed; the next one is due after the pause. Raises ClaimLost."""
    await _write(connection, claim, due_at=database_now() + pause, last_error=error)


async def abandon_entry(connection: AsyncConnection, claim: OutboxClaim, error: str) -> None:
    """End an entry that cannot succeed: it is done, and keeps its error. Raises ClaimLost."""
    await _write(connection, claim, done_at=database_now(), last_error=error)


async def _write(connection: AsyncConnection, claim: OutboxClaim, **values: Any) -> None:
    result = await connection.execute(update(OutboxEntry).where(claim._held).values(values))
    if result.rowcount == 0:
        raise ClaimLost(f"Another worker has taken entry {claim.id} of the outbox.")


async def purge_done(
    connection: AsyncConnection, *, done_for: timedelta, failed_for: timedelta, limit: int
) -> int:
    """Delete at most `limit` entries that were done, or given up, for longer than so."""
    now = database_now()
    old = (
        select(OutboxEntry.id)
        .where(
            or_(
                and_(OutboxEntry.done_at < now - done_for, OutboxEntry.last_error == ""),
                and_(OutboxEntry.done_at < now - failed_for, OutboxEntry.last_error != ""),
            )
        )
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    result = await connection.execute(delete(OutboxEntry).where(OutboxEntry.id.in_(old)))
    return result.rowcount
