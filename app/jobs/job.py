"""A job of the worker, and the context of one run."""

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
    """The context of one run; `claim` is None for a run from the command line."""

    database: Database
    settings: Settings
    claim: outbox.OutboxClaim | None = None
    finished: bool = False

    async def finish(self, connection: AsyncConnection) -> None:
        """Mark the entry as done in the job's own transaction, so that its changes happen once.

        Raises ClaimLost if another worker has claimed or finished the entry.
        """
        if self.claim is not None:
            await outbox.finish_entry(connection, self.claim)
            self.finished = True


@dataclass(frozen=True)
class Job:
    """A function that runs entries of the outbox, its time limit, and its description."""

    function: Callable[..., Awaitable[JobSummary | None]]
    """Called with the run and, as keywords, the arguments of the entry."""
    time_limit: timedelta
    description: str
