"""Schedules daily jobs by the database server's clock, which all workers share, in UTC.

A job is recorded in the outbox once per scheduled time, by any number of workers. If no worker ran
at that time, the first that starts afterwards records the job.
"""

from collections.abc import Mapping
from datetime import UTC, datetime, time, timedelta

from sqlalchemy import select

from app.database.engine import Database
from app.database.server_clock import database_now
from app.jobs.runner import Job
from app.logging import get_logger
from app.outbox import repository as outbox

_logger = get_logger(__name__)


def last_due(times: tuple[time, ...], now: datetime) -> datetime:
    """Return the latest of the daily times up to `now`."""
    days = (now.date(), now.date() - timedelta(days=1))
    moments = (datetime.combine(day, at, UTC) for day in days for at in times)
    return max(moment for moment in moments if moment <= now)


class Scheduler:
    """Records due jobs; queries the database once per scheduled time."""

    def __init__(self, database: Database, jobs: Mapping[str, Job]) -> None:
        self._database = database
        self._times = {name: job.times for name, job in jobs.items() if job.times}
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
        for job, times in self._times.items():
            moment = last_due(times, now)
            if self._recorded.get(job) == moment:
                continue
            async with self._database.transaction() as connection:
                entry = await outbox.record_job_once(connection, job, moment)
            self._recorded[job] = moment
            if entry is not None:
                _logger.info("job scheduled", job=job, entry=entry)
                recorded.append(job)
        return recorded
