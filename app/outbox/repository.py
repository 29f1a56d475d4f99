"""The only place that writes the outbox."""

from datetime import datetime
from typing import Any

from sqlalchemy import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from app import clock
from app.outbox.tables import OutboxEntry


async def record(
    connection: AsyncConnection,
    job: str,
    arguments: dict[str, Any],
    due_at: datetime | None = None,
) -> int:
    """Record a job to run once the caller's transaction has committed; return the entry's id.

    It is due at once unless `due_at` says when.
    """
    now = clock.now()
    statement = (
        insert(OutboxEntry)
        .values(job=job, arguments=arguments, created_at=now, due_at=due_at or now)
        .returning(OutboxEntry.id)
    )
    return (await connection.execute(statement)).scalar_one()
