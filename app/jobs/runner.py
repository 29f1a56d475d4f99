"""Runs what is due in the outbox, a few entries at a time.

A claim is renewed while its job runs, however long that takes. Where the worker dies, the claim
lapses and the entry is run again, by whoever looks next.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from datetime import timedelta
from time import perf_counter
from typing import Final

import structlog
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection

from app.database.engine import Database
from app.database.errors import DatabaseUnavailable
from app.jobs.clock_check import ClockCheck
from app.jobs.database_outage import DatabaseOutage
from app.jobs.job import Job, JobRun
from app.logging import describe_error, get_logger
from app.metrics.jobs import JOBS_RUNNING, LAST_LOOK, OTHER, JobResult, expect_jobs, job_ended
from app.outbox import repository as outbox
from app.outbox.outcome import JobSummary, PermanentError, RetryAfter
from app.settings import Settings

MAX_ATTEMPTS: Final = 20
"""After so many attempts, about half a day, an entry that always fails is given up."""
CANCELLATION_TIMEOUT: Final = 4.0
"""Seconds that jobs which are cancelled have to end and be handed back."""
_MOST_CLAIMS: Final = 100
"""So many claims only come together where a job takes its worker down each time."""
_FIRST_PAUSE: Final = timedelta(seconds=10)
_LONGEST_PAUSE: Final = timedelta(hours=1)
_SHORTEST_WAIT: Final = timedelta(seconds=1)
_AT_ONCE: Final = 8
_ERROR_LENGTH: Final = 2000
_SETTLING_PAUSES: Final = (0.2, 1.0, 3.0)

_logger = get_logger(__name__)
_Write = Callable[[AsyncConnection], Awaitable[None]]


def pause_after(attempt: int) -> timedelta:
    """Return what is waited after a failed attempt: 10 seconds, then thrice as long each time."""
    growth: int = 3 ** min(attempt - 1, 10)
    return min(_FIRST_PAUSE * growth, _LONGEST_PAUSE)


class JobRunner:
    """Runs entries of the outbox as tasks of this process."""

    def __init__(self, database: Database, settings: Settings, jobs: Mapping[str, Job]) -> None:
        self._database = database
        self._settings = settings
        self._jobs = jobs
        self._lease = timedelta(seconds=settings.job_lease)
        # A job uses one connection, and renewing its claim now and then another.
        self._at_once = max(1, min(_AT_ONCE, settings.database_pool_size // 2))
        self._tasks: set[asyncio.Task[None]] = set()
        self._busy = 0
        self._looking = asyncio.Lock()
        self._stopping = False
        self._leaving = False
        self.outage = DatabaseOutage()
        self._own_clock = ClockCheck()
        expect_jobs(jobs)

    async def relay(self) -> int:
        """Start what is due, as far as there is room; return how many entries were started.

        Whenever one of them ends, the next due one is started. Raises what the database raises.
        """
        if self._stopping:  # not even a wait for another look, which may hang
            return 0
        async with self._looking:
            room = self._at_once - self._busy
            if self._stopping or room <= 0:
                LAST_LOOK.set_to_current_time()
                return 0
            async with self._database.transaction() as connection:
                claims = await outbox.claim_due(connection, room, self._lease)
                difference = await self._database.clock.measure(connection)
            self.outage.end()
            self._own_clock.tell(difference)
            LAST_LOOK.set_to_current_time()
            for claim in claims:
                self._busy += 1
                task = asyncio.create_task(self._run(claim), name=f"{claim.job} {claim.id}")
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
            return len(claims)

    async def idle(self) -> None:
        """Wait until no entry is being run."""
        while self._tasks:
            await asyncio.wait(set(self._tasks))

    async def stop(self, patience: float) -> None:
        """Start nothing more; hand back to the outbox what does not end within `patience` seconds.

        What is handed back is due at once, for another worker. What cannot be handed back in
        `CANCELLATION_TIMEOUT` seconds more is left: its claim lapses by itself.
        """
        self._stopping = True
        with suppress(TimeoutError):
            async with asyncio.timeout(patience):
                async with self._looking:  # a claim that is just being made has its task after this
                    pass
                await self.idle()
        if not self._tasks:
            return
        for task in self._tasks:
            task.cancel()
        _, left = await asyncio.wait(set(self._tasks), timeout=CANCELLATION_TIMEOUT)
        self._leaving = True
        for task in left:
            _logger.warning("job left to its lease", task=task.get_name())

    async def _run(self, claim: outbox.OutboxClaim) -> None:
        name = claim.job if claim.job in self._jobs else OTHER
        started = perf_counter()
        with JOBS_RUNNING.track_inprogress(), _as_caused_by(claim):
            try:
                result = await self._attempt(claim)
            except asyncio.CancelledError:
                if self._leaving:  # the process ends, and this would hold it up
                    raise
                _logger.info("job handed back", job=claim.job, entry=claim.id)
                await self._settle(claim, lambda c: outbox.postpone_entry(c, claim, timedelta()))
                result = JobResult.HANDED_BACK
            finally:
                self._busy -= 1
        job_ended(name, result, perf_counter() - started)
        with suppress(SQLAlchemyError):  # the next look will tell
            await self.relay()

    async def _attempt(self, claim: outbox.OutboxClaim) -> JobResult:
        log_ = _logger.bind(job=claim.job, entry=claim.id, attempt=claim.attempt)
        run = JobRun(self._database, self._settings, claim)
        try:
            summary = await self._call(run, claim)
        except RetryAfter as later:
            if later.why:
                log_.info("job put off", why=later.why)
            pause = max(later.pause, _SHORTEST_WAIT)
            await self._settle(claim, lambda c: outbox.postpone_entry(c, claim, pause))
            return JobResult.LATER
        except outbox.ClaimLost:
            log_.warning("job left to another worker")
            return JobResult.LOST
        except PermanentError as error:
            return await self._give_up(claim, str(error))
        except Exception as error:
            if isinstance(error, DatabaseUnavailable):
                log_.warning("job interrupted", error=describe_error(error))
            else:
                log_.warning("job failed", exc_info=True)
            return await self._fail(claim, f"{type(error).__name__}: {error}")
        log_.info("job done", did=summary.in_brief if summary else None)
        if summary and summary.trouble:
            return await self._fail(claim, summary.trouble)
        if not run.finished:
            await self._settle(claim, lambda c: outbox.finish_entry(c, claim))
        return JobResult.DONE

    async def _call(self, run: JobRun, claim: outbox.OutboxClaim) -> JobSummary | None:
        if claim.attempt > _MOST_CLAIMS:
            raise PermanentError(f"Begun {_MOST_CLAIMS} times and never ended.")
        job = self._jobs.get(claim.job)
        if job is None:  # perhaps one of a newer version, which another worker has
            raise LookupError(f"This worker has no job {claim.job}.")
        async with self._renewing(claim), asyncio.timeout(job.limit.total_seconds()):
            return await job.function(run, **claim.arguments)

    @asynccontextmanager
    async def _renewing(self, claim: outbox.OutboxClaim) -> AsyncIterator[None]:
        renewal = asyncio.create_task(self._renew(claim))
        try:
            yield
        finally:
            renewal.cancel()
            await asyncio.wait([renewal])

    async def _renew(self, claim: outbox.OutboxClaim) -> None:
        is_told = False
        while True:
            await asyncio.sleep(self._lease.total_seconds() / 3)
            try:
                async with self._database.transaction() as connection:
                    await outbox.renew_claim(connection, claim, self._lease)
            except outbox.ClaimLost:
                return  # done already, or too late; what the job writes about its entry tells
            except SQLAlchemyError as error:
                if not is_told:
                    _logger.warning(
                        "claim not renewed", entry=claim.id, error=describe_error(error)
                    )
                is_told = True
            else:
                is_told = False

    async def _fail(self, claim: outbox.OutboxClaim, error: str) -> JobResult:
        if claim.attempt >= MAX_ATTEMPTS:
            return await self._give_up(claim, error)
        pause = pause_after(claim.attempt)
        await self._settle(
            claim, lambda c: outbox.record_failure(c, claim, _storable(error), pause)
        )
        return JobResult.FAILED

    async def _give_up(self, claim: outbox.OutboxClaim, error: str) -> JobResult:
        # Why stands with the entry: it may quote what does not belong in the log.
        _logger.error("job given up", job=claim.job, entry=claim.id, attempt=claim.attempt)
        await self._settle(claim, lambda c: outbox.abandon_entry(c, claim, _storable(error)))
        return JobResult.GIVEN_UP

    async def _settle(self, claim: outbox.OutboxClaim, write: _Write) -> None:
        """Write what became of an attempt; where that fails, the claim lapses by itself.

        Tried more than once, since after a restart of the database each pooled connection fails.
        """
        for pause in (*_SETTLING_PAUSES, None):
            try:
                async with self._database.transaction() as connection:
                    await write(connection)
            except outbox.ClaimLost:
                _logger.warning("claim lost", job=claim.job, entry=claim.id)
            except SQLAlchemyError as error:
                if pause is not None:
                    await asyncio.sleep(pause)
                    continue
                _logger.warning(
                    "job not settled", job=claim.job, entry=claim.id, error=describe_error(error)
                )
            return


@contextmanager
def _as_caused_by(claim: outbox.OutboxClaim) -> Iterator[None]:
    """Let what is logged meanwhile have the id of the request that caused the entry."""
    if not claim.request_id:
        yield
        return
    with structlog.contextvars.bound_contextvars(request_id=claim.request_id):
        yield


def _storable(error: str) -> str:
    return error.replace("\0", " ")[:_ERROR_LENGTH]
