"""Runs the due entries of the outbox, a few at a time.

A claim is renewed while its job runs. If the worker dies, the claim expires and the next worker
that polls the outbox runs the entry again.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import time, timedelta
from time import perf_counter
from typing import Final

from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection
from structlog.contextvars import bound_contextvars

from app.database.engine import Database
from app.database.errors import DatabaseUnavailable
from app.jobs.claimed_entry import ClaimedEntry, EntryFinisher
from app.jobs.poll_log import ClockCheck, DatabaseOutage
from app.logging import describe_error, get_logger
from app.metrics.jobs import (
    JOBS_RUNNING,
    LAST_POLL,
    OTHER,
    JobResult,
    count_job_attempt,
    initialise_series,
)
from app.notifications.sending import Sender
from app.outbox import repository as outbox
from app.outbox.outcome import JobSummary, PermanentError, RetryAfter
from app.outbox.repository import OutboxClaim
from app.progress import UNWATCHED, Progress
from app.settings import Settings

CANCELLATION_TIMEOUT: Final = 4.0
"""Seconds in which cancelled jobs must end and their entries be released."""
_MAX_CLAIMS: Final = 100
"""Claims of an entry after which its job is assumed to kill the worker each time."""
_MIN_DELAY: Final = timedelta(seconds=1)
_MAX_CONCURRENCY: Final = 8
"""Jobs at once that send no mail, at most."""

_logger = get_logger(__name__)


@dataclass
class JobRun:
    """The context of one run; `claim` is None for a run from the command line."""

    database: Database
    settings: Settings
    sender: Sender
    claim: OutboxClaim | None = None
    finished: bool = False
    progress: Progress = UNWATCHED
    """Watched in a run from the command line."""

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
    times: tuple[time, ...] = ()
    """The times of day, in UTC, at which it is due."""
    sends_mail: bool = False
    """Whether it sends a mail, so that SMTP_CONNECTIONS bounds how many run at once."""


class JobRunner:
    """Runs entries of the outbox as tasks of this process."""

    def __init__(self, database: Database, settings: Settings, jobs: Mapping[str, Job]) -> None:
        self._database = database
        self._settings = settings
        self._jobs = jobs
        self._lease = timedelta(seconds=settings.job_lease)
        # A job uses one connection, and the renewal of its claim another from time to time. One
        # that sends a mail uses a connection only for moments.
        others = max(1, min(_MAX_CONCURRENCY, settings.database_pool_size // 2))
        mails = settings.smtp_connections if any(job.sends_mail for job in jobs.values()) else 0
        self._concurrency = max(others, mails)
        self._slots = asyncio.Semaphore(others)
        self._mail_slots = asyncio.Semaphore(mails)
        self._sender = Sender(database, settings)
        self._finisher = EntryFinisher(database)
        self._tasks: set[asyncio.Task[None]] = set()
        self._running = 0
        self._claiming = asyncio.Lock()
        self._stopping = False
        self._abandoning = False
        self.outage = DatabaseOutage()
        self._clock_check = ClockCheck()
        initialise_series(jobs)

    async def start_due_jobs(self) -> int:
        """Start due entries up to the limit of concurrency; return the number of entries started.

        When an entry ends, the next due one is started. Compares the clocks of this machine and of
        the database. Raises the database's errors.
        """
        return await self._start_due_jobs(checks_clock=True)

    async def _start_due_jobs(self, *, checks_clock: bool = False) -> int:
        if self._stopping:  # without waiting for the lock, whose holder may hang
            return 0
        async with self._claiming:
            free = self._concurrency - self._running
            if self._stopping or free <= 0:
                LAST_POLL.set_to_current_time()
                return 0
            if checks_clock:
                async with self._database.reading() as connection:
                    self._clock_check.check(await self._database.clock.measure(connection))
            async with self._database.autocommit() as connection:
                claims = await outbox.claim_due(connection, free, self._lease)
            self.outage.end()
            LAST_POLL.set_to_current_time()
            for claim in claims:
                self._running += 1
                task = asyncio.create_task(self._run(claim), name=f"{claim.job} {claim.id}")
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
            return len(claims)

    async def wait_until_idle(self) -> None:
        """Wait until no entry is being run."""
        while self._tasks:
            await asyncio.wait(set(self._tasks))

    async def stop(self, grace: float) -> None:
        """Start no more jobs; cancel those that do not end within `grace` seconds.

        The entry of a cancelled job is due at once, for another worker. A job that does not end
        within `CANCELLATION_TIMEOUT` is left; its claim expires. At last the connections to the
        mail server are closed.
        """
        self._stopping = True
        await self._end_jobs(grace)
        await self._sender.aclose()

    async def _end_jobs(self, grace: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(grace):
                async with self._claiming:  # afterwards each claim has its task
                    pass
                await self.wait_until_idle()
        if not self._tasks:
            return
        for task in self._tasks:
            task.cancel()
        _, left = await asyncio.wait(set(self._tasks), timeout=CANCELLATION_TIMEOUT)
        self._abandoning = True
        for task in left:
            _logger.warning("job still running at exit", task=task.get_name())

    async def _run(self, claim: OutboxClaim) -> None:
        name = claim.job if claim.job in self._jobs else OTHER
        entry = ClaimedEntry(self._database, self._finisher, claim, self._lease)
        started = perf_counter()
        # Log lines have the id of the request that recorded the entry.
        request = {"request_id": claim.request_id} if claim.request_id else {}
        with bound_contextvars(**request):
            try:
                result = await self._attempt(entry)
            except asyncio.CancelledError:
                if self._abandoning:  # the process exits and must not wait for the database
                    raise
                _logger.info("job handed back", job=claim.job, entry=claim.id)
                await entry.postpone(timedelta())
                result = JobResult.HANDED_BACK
            finally:
                self._running -= 1
        count_job_attempt(name, result, perf_counter() - started)
        with suppress(SQLAlchemyError):  # the next poll logs it
            await self._start_due_jobs()

    async def _attempt(self, entry: ClaimedEntry) -> JobResult:
        claim = entry.claim
        logger = _logger.bind(job=claim.job, entry=claim.id, attempt=claim.attempt)
        run = JobRun(self._database, self._settings, self._sender, claim)
        try:
            summary = await self._call(run, entry)
        except RetryAfter as retry:
            if retry.reason:
                logger.info("job put off", why=retry.reason)
            await entry.postpone(max(retry.delay, _MIN_DELAY))
            return JobResult.LATER
        except outbox.ClaimLost:
            logger.warning("job left to another worker")
            return JobResult.LOST
        except PermanentError as error:
            return await entry.abandon(str(error))
        except Exception as error:
            if isinstance(error, DatabaseUnavailable):
                logger.warning("job interrupted", error=describe_error(error))
            else:
                logger.warning("job failed", exc_info=True)
            return await entry.fail(f"{type(error).__name__}: {error}")
        logger.info("job done", did=summary.format_counts() if summary else None)
        if summary and summary.failures:
            return await entry.fail(summary.format_failures())
        if not run.finished:
            await entry.finish()
        return JobResult.DONE

    async def _call(self, run: JobRun, entry: ClaimedEntry) -> JobSummary | None:
        claim = entry.claim
        if claim.attempt > _MAX_CLAIMS:
            raise PermanentError(f"Started {_MAX_CLAIMS} times and never finished.")
        job = self._jobs.get(claim.job)
        if job is None:  # perhaps a job of a newer release, which another worker knows
            raise LookupError(f"This worker has no job {claim.job}.")
        slots = self._mail_slots if job.sends_mail else self._slots
        must_wait = slots.locked()
        async with entry.renewing(), slots:
            if must_wait and self._stopping:
                raise RetryAfter(timedelta(), "the worker stops")
            time_limit = asyncio.timeout(job.time_limit.total_seconds())
            with JOBS_RUNNING.track_inprogress():
                async with time_limit:
                    return await job.function(run, **claim.arguments)
