"""A claimed entry of the outbox while its job runs: renews the claim and stores the outcome."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import partial
from typing import Final

from sqlalchemy.exc import SQLAlchemyError

from app.database.coalescer import Coalescer
from app.database.engine import Database
from app.logging import describe_error, get_logger
from app.metrics.jobs import JobResult
from app.outbox import repository as outbox
from app.outbox.repository import OutboxClaim

MAX_ATTEMPTS: Final = 20
"""Attempts after which an entry that always fails is abandoned, after about half a day."""
_FIRST_DELAY: Final = timedelta(seconds=10)
_MAX_DELAY: Final = timedelta(hours=1)
_MAX_ERROR_LENGTH: Final = 2000
_WRITE_RETRY_DELAYS: Final = (0.2, 1.0, 3.0)

_logger = get_logger(__name__)


def retry_delay(attempt: int) -> timedelta:
    """Return the delay after a failed attempt: 10 seconds, tripled each time, at most an hour."""
    factor: int = 3 ** min(attempt - 1, 10)
    return min(_FIRST_DELAY * factor, _MAX_DELAY)


class EntryFinisher:
    """Marks entries as done, those that end at the same time by one statement."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._finish = Coalescer(self._finish_all)

    async def finish(self, claim: OutboxClaim) -> None:
        """Mark the entry of a claim as done. Raises ClaimLost."""
        if not await self._finish(claim):
            raise outbox.ClaimLost(f"Another worker has claimed entry {claim.id} of the outbox.")

    async def _finish_all(self, claims: Sequence[OutboxClaim]) -> Sequence[bool]:
        async with self._database.autocommit() as connection:
            finished = await outbox.finish_entries(connection, claims)
        return [claim.id in finished for claim in claims]


class ClaimedEntry:
    """An entry that this worker has claimed."""

    def __init__(
        self, database: Database, finisher: EntryFinisher, claim: OutboxClaim, lease: timedelta
    ) -> None:
        self.claim = claim
        self._database = database
        self._finisher = finisher
        self._lease = lease

    @asynccontextmanager
    async def renewing(self) -> AsyncIterator[None]:
        """Renew the claim every third of its lease for the length of the context."""
        renewal = asyncio.create_task(self._renew())
        try:
            yield
        finally:
            renewal.cancel()
            await asyncio.wait([renewal])

    async def _renew(self) -> None:
        is_logged = False
        while True:
            await asyncio.sleep(self._lease.total_seconds() / 3)
            try:
                await self._postpone(self._lease)
            except outbox.ClaimLost:
                return  # done already or lost: storing the outcome finds out
            except SQLAlchemyError as error:
                if not is_logged:
                    _logger.warning(
                        "claim not renewed", entry=self.claim.id, error=describe_error(error)
                    )
                is_logged = True
            else:
                is_logged = False

    async def finish(self) -> None:
        """Mark the entry as done."""
        await self._store(partial(self._finisher.finish, self.claim))

    async def postpone(self, delay: timedelta) -> None:
        """Make the entry due again after a delay, without an error."""
        await self._store(partial(self._postpone, delay))

    async def fail(self, error: str) -> JobResult:
        """Store the error of the attempt and schedule the next, or abandon the entry."""
        if self.claim.attempt >= MAX_ATTEMPTS:
            return await self.abandon(error)
        delay = retry_delay(self.claim.attempt)
        await self._store(partial(self._postpone, delay, _to_stored_text(error)))
        return JobResult.FAILED

    async def abandon(self, error: str) -> JobResult:
        """Mark the entry as done, with the error."""
        # The entry holds the error; it may quote data that does not belong in the log.
        claim = self.claim
        _logger.error("job given up", job=claim.job, entry=claim.id, attempt=claim.attempt)
        await self._store(partial(self._abandon, _to_stored_text(error)))
        return JobResult.GIVEN_UP

    async def _postpone(self, delay: timedelta, error: str | None = None) -> None:
        async with self._database.transaction() as connection:
            await outbox.postpone_entry(connection, self.claim, delay, error)

    async def _abandon(self, error: str) -> None:
        async with self._database.transaction() as connection:
            await outbox.finish_entry(connection, self.claim, error)

    async def _store(self, write: Callable[[], Awaitable[None]]) -> None:
        """Store the outcome of an attempt; if that fails, the claim expires.

        Retried, because after a restart of the database each pooled connection fails once.
        """
        names = {"job": self.claim.job, "entry": self.claim.id}
        for delay in (*_WRITE_RETRY_DELAYS, None):
            try:
                await write()
            except outbox.ClaimLost:
                _logger.warning("claim lost", **names)
            except SQLAlchemyError as error:
                if delay is not None:
                    await asyncio.sleep(delay)
                    continue
                _logger.warning("job outcome not stored", error=describe_error(error), **names)
            return


def _to_stored_text(error: str) -> str:
    return error.replace("\0", " ")[:_MAX_ERROR_LENGTH]
