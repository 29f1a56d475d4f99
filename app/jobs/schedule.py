"""What happens by the clock, in UTC: the database server's, which all workers share.

At its time a job is recorded in the outbox, once however many workers there are. Where none was
running then, the first that starts afterwards records it: what matters is the last time that has
passed, not the moment of looking.
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
    """A job and the times of day at which it is due."""

    job: str
    times: tuple[time, ...]

    def last_due(self, now: datetime) -> datetime:
        """Return the last time that has come by `now`."""
        days = (now.date(), now.date() - timedelta(days=1))
        moments = (datetime.combine(day, at, UTC) for day in days for at in self.times)
        return max(moment for moment in moments if moment <= now)


_EVERY_TEN_MINUTES: Final = tuple(time(h, m) for h in range(24) for m in range(5, 60, 10))
_EVERY_HOUR: Final = tuple(time(h, 15) for h in range(24))

SCHEDULE: Final = (
    # Daily, not monthly: customers whose accounting starts in mid-month get their invoice too, and
    # a month whose first day was missed is closed as soon as it can be.
    DailySchedule(registry.CLOSE_MONTH, (time(0, 5), time(6, 5))),
    DailySchedule(registry.RECONCILE_TOTALS, (time(2, 30),)),
    DailySchedule(registry.MERGE_TALLIES, _EVERY_TEN_MINUTES),
    DailySchedule(registry.BRING_YEAR_FORWARD, (time(0, 0), time(6, 0))),
    DailySchedule(registry.SWEEP_PROOFS, (time(3, 30),)),
    DailySchedule(registry.PURGE_OUTBOX, (time(4, 30),)),
    DailySchedule(registry.PURGE_ANSWERS, _EVERY_HOUR),
)


class Scheduler:
    """Records what is due; the database is asked once for each time that comes."""

    def __init__(self, database: Database, schedule: tuple[DailySchedule, ...] = SCHEDULE) -> None:
        self._database = database
        self._schedule = schedule
        self._seen: dict[str, datetime] = {}

    async def look(self) -> bool:
        """Do what is to be done by the clock; tell whether there is more to run now.

        Raises what the database raises; the next call tries again.
        """
        async with self._database.transaction() as connection:
            brought = await outbox.correct_due_times(connection)
            now = (await connection.execute(select(database_now()))).scalar_one()
        if brought:
            _logger.warning("entries from the future", number=brought)
        recorded = await self.record_due(now)
        return bool(brought or recorded)

    async def record_due(self, now: datetime) -> list[str]:
        """Record each job whose time has come by `now`; return the names of those recorded.

        Raises what the database raises; the next call tries again.
        """
        recorded = []
        for daily in self._schedule:
            moment = daily.last_due(now)
            if self._seen.get(daily.job) == moment:
                continue
            async with self._database.transaction() as connection:
                entry = await outbox.record_job_once(connection, daily.job, moment)
            self._seen[daily.job] = moment
            if entry is not None:
                _logger.info("job scheduled", job=daily.job, entry=entry)
                recorded.append(daily.job)
        return recorded
