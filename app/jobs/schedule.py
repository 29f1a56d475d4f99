"""Schedules daily jobs by the database server's clock, which all workers share, in UTC.

A job is recorded in the outbox once per scheduled time, by any number of workers. If no worker ran
at that time, the first that starts afterwards records the job.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from typing import Final

from sqlalchemy import select

from app.database.engine import Database
from app.database.server_clock import database_now
from app.jobs import registry
from app.logging import get_logger
from app.outbox import repository as outbox

_logger = get_logger(__name__)


@dataclass(frozen=True)
class DailySchedule:
    """A job and the times of day, in UTC, at which it is due."""

    job: str
    times: tuple[time, ...]

    def last_due(self, now: datetime) -> datetime:
        """Return the latest scheduled time up to `now`."""
        days = (now.date(), now.date() - timedelta(days=1))
        moments = (datetime.combine(day, at, UTC) for day in days for at in self.times)
        return max(moment for moment in moments if moment <= now)


_EVERY_TEN_MINUTES: Final = tuple(time(h, m) for h in range(24) for m in range(5, 60, 10))
_EVERY_HOUR: Final = tuple(time(h, 15) for h in range(24))

SCHEDULE: Final = (
    # Hourly, not monthly: customers whose accounting starts in mid-month get their invoice, and a
    # month is closed as soon as possible after its grace period or after what prevented it.
    DailySchedule(registry.CLOSE_MONTH, tuple(time(h, 5) for h in range(24))),
    # After the close of the month, which issues the invoices that a report waits for.
    DailySchedule(registry.MONTHLY_REPORTS, tuple(time(h, 25) for h in range(24))),
    DailySchedule(registry.RECONCILE_TOTALS, (time(2, 30),)),
    DailySchedule(registry.MERGE_TALLIES, _EVERY_TEN_MINUTES),
    DailySchedule(registry.BRING_YEAR_FORWARD, (time(0, 0), time(6, 0))),
    DailySchedule(registry.SWEEP_PROOFS, (time(3, 30),)),
    DailySchedule(registry.PURGE_OUTBOX, (time(4, 30),)),
    DailySchedule(registry.PURGE_ANSWERS, _EVERY_HOUR),
)


class Scheduler:
    """Records due jobs; queries the database once per scheduled time."""

    def __init__(self, database: Database, schedule: tuple[DailySchedule, ...] = SCHEDULE) -> None:
        self._database = database
        self._schedule = schedule
        self._recorded: dict[str, datetime] = {}

    async def schedule_due_jobs(self) -> bool:
        """Record due jobs and correct due times in the future; return whether entries became due.

        Raises the database's errors; the next call retries.
        """
        async with self._database.transaction() as connection:
            corrected = await outbox.correct_due_times(connection)
            now = (await connection.execute(select(database_now()))).scalar_one()
        if corrected:
            _logger.warning("due times in the future corrected", number=corrected)
        recorded = await self.record_due_jobs(now)
        return bool(corrected or recorded)

    async def record_due_jobs(self, now: datetime) -> list[str]:
        """Record each job with a scheduled time up to `now`; return the names of those recorded.

        Raises the database's errors; the next call retries.
        """
        recorded = []
        for daily in self._schedule:
            moment = daily.last_due(now)
            if self._recorded.get(daily.job) == moment:
                continue
            async with self._database.transaction() as connection:
                entry = await outbox.record_job_once(connection, daily.job, moment)
            self._recorded[daily.job] = moment
            if entry is not None:
                _logger.info("job scheduled", job=daily.job, entry=entry)
                recorded.append(daily.job)
        return recorded
