"""Reads and writes the outbox. No other module writes the table.

An entry is open until `done_at` is set. A worker claims an entry before it runs the job: the claim
increments `attempts` and moves `due_at` to the end of the lease, so that an entry becomes due again
if its worker dies. Later updates of the entry apply only while the claim is held, that is, while
`attempts` is unchanged.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import (
    ARRAY,
    BigInteger,
    ColumnElement,
    Insert,
    Integer,
    and_,
    column,
    delete,
    exists,
    func,
    insert,
    literal,
    or_,
    select,
    update,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from app import clock
from app.database.server_clock import database_now, time_between
from app.logging import current_request_id
from app.outbox.models import OutboxEntry

DONE_RETENTION: Final = timedelta(days=7)
FAILED_RETENTION: Final = timedelta(days=90)
"""How long done entries are kept, without and with an error."""


class ClaimLost(Exception):
    """Another worker has claimed or finished the entry in the meantime."""


@dataclass(frozen=True, slots=True)
class OutboxClaim:
    """An entry that this worker may run until the lease ends."""

    id: int
    job: str
    arguments: dict[str, Any]
    attempt: int
    """Counts from 1."""
    request_id: str

    @property
    def _is_held(self) -> ColumnElement[bool]:
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
    """Record a job to run after the commit of the caller's transaction; return the entry's id.

    The job is due at `due_at`, by default at once. The entry keeps the id of the current request.
    """
    statement = _insert(job, due_at).returning(OutboxEntry.id)
    return (await connection.execute(statement, {"arguments": arguments})).scalar_one()


async def record_jobs(
    connection: AsyncConnection, job: str, arguments: Sequence[dict[str, Any]]
) -> None:
    """Record a job once with each of the arguments, as `record_job` does."""
    if arguments:
        values = [{"arguments": each} for each in arguments]
        await connection.execute(_insert(job, None), values)


def _insert(job: str, due_at: datetime | None) -> Insert:
    now = database_now()
    return insert(OutboxEntry).values(
        job=job, created_at=now, due_at=due_at or now, request_id=current_request_id()
    )


async def record_job_once(connection: AsyncConnection, job: str, since: datetime) -> int | None:
    """Record a job unless it has an open entry, or one that was created at `since` or later.

    An entry created in the future does not count: it stems from a clock that was fast. Concurrent
    callers record the job once. Returns the entry's id, or None if nothing was recorded.
    """
    await connection.execute(select(func.pg_advisory_xact_lock(func.hashtext("outbox:" + job))))
    another = exists().where(
        OutboxEntry.job == job,
        or_(
            OutboxEntry.done_at.is_(None),
            OutboxEntry.created_at.between(since, database_now() + clock.MAX_DRIFT),
        ),
    )
    if (await connection.execute(select(another))).scalar_one():
        return None
    return await record_job(connection, job, {})


@dataclass(frozen=True, slots=True)
class OpenEntries:
    """The number of open entries of one job."""

    job: str
    due: int
    """Entries that can be run now."""
    later: int
    """Entries that are claimed or not yet due."""
    oldest_due_age: timedelta | None
    """How long the oldest due entry has been due; None if no entry is due."""


async def count_open_entries(connection: AsyncConnection) -> list[OpenEntries]:
    """Count the open entries of each job that has any."""
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
    """Claim at most `limit` due entries, oldest first, for the length of the lease."""
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
    """Make entries due that were recorded as due at once by a clock that was fast; count them.

    Otherwise they would wait until the clock reaches that time again.
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


async def finish_entry(connection: AsyncConnection, claim: OutboxClaim, error: str = "") -> None:
    """Mark the entry as done, with its error if it cannot succeed. Raises ClaimLost.

    In the transaction of the job's own changes this makes them happen exactly once, however often
    the job runs.
    """
    await _write(connection, claim, done_at=database_now(), last_error=error)


async def finish_entries(
    connection: AsyncConnection, claims: Sequence[OutboxClaim]
) -> Collection[int]:
    """Mark the entries of several claims as done; return the ids of those that were still held."""
    ids = literal([claim.id for claim in claims], ARRAY(BigInteger))
    attempts = literal([claim.attempt for claim in claims], ARRAY(Integer))
    columns = column("id", BigInteger), column("attempts", Integer)
    claimed = func.unnest(ids, attempts).table_valued(*columns).render_derived(name="claimed")
    held = (
        select(OutboxEntry.id)
        .join(
            claimed,
            and_(
                OutboxEntry.id == claimed.c.id,
                OutboxEntry.attempts == claimed.c.attempts,
                OutboxEntry.done_at.is_(None),
            ),
        )
        .order_by(OutboxEntry.id)  # locked in one order, so that two batches cannot deadlock
        .with_for_update(of=OutboxEntry)
        .cte("held")
    )
    statement = (
        update(OutboxEntry)
        .where(OutboxEntry.id == held.c.id)
        .values(done_at=database_now(), last_error="")
        .returning(OutboxEntry.id)
    )
    return set((await connection.execute(statement)).scalars())


async def postpone_entry(
    connection: AsyncConnection, claim: OutboxClaim, delay: timedelta, error: str | None = None
) -> None:
    """Make the entry due after a delay from now, which also extends the claim. Raises ClaimLost.

    The error of a failed attempt is stored.
    """
    stored = {} if error is None else {"last_error": error}
    await _write(connection, claim, due_at=database_now() + delay, **stored)


async def _write(connection: AsyncConnection, claim: OutboxClaim, **values: Any) -> None:
    result = await connection.execute(update(OutboxEntry).where(claim._is_held).values(values))
    if result.rowcount == 0:
        raise ClaimLost(f"Another worker has claimed entry {claim.id} of the outbox.")


async def purge_done(connection: AsyncConnection, limit: int) -> int:
    """Delete at most `limit` entries whose retention has ended; return the number deleted."""
    now = database_now()
    old = (
        select(OutboxEntry.id)
        .where(
            or_(
                and_(OutboxEntry.done_at < now - DONE_RETENTION, OutboxEntry.last_error == ""),
                and_(OutboxEntry.done_at < now - FAILED_RETENTION, OutboxEntry.last_error != ""),
            )
        )
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    result = await connection.execute(delete(OutboxEntry).where(OutboxEntry.id.in_(old)))
    return result.rowcount
