"""What a job is, and what it is given when it runs."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy.ext.asyncio import AsyncConnection

from app.database.engine import Database
from app.outbox import repository as outbox
from app.outbox.outcome import JobSummary
from app.settings import Settings


@dataclass
class JobRun:
    """One run of a job: what it works with, and the claim on its entry, unless run by hand."""

    database: Database
    settings: Settings
    claim: outbox.OutboxClaim | None = None
    finished: bool = False

    async def finish(self, connection: AsyncConnection) -> None:
        """Mark the entry as done in the job's own transaction: its changes happen once.

        Raises ClaimLost where another worker has the entry, or has done it.
        """
        if self.claim is not None:
            await outbox.finish_entry(connection, self.claim)
            self.finished = True


@dataclass(frozen=True)
class Job:
    """A function for the outbox, how long it may take, and what it is for."""

    function: Callable[..., Awaitable[JobSummary | None]]
    """Called with the run, and the entry's arguments by name."""
    limit: timedelta
    about: str
