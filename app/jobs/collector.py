"""What the worker shows of the database: what waits, how deliveries stand, which month is closed.

The database is asked when Prometheus asks, in few statements, and again only once an answer is old.
One that does not answer is shown as such, and all that it would tell is left out.
"""

import asyncio
from collections.abc import Callable, Collection, Iterable
from concurrent.futures import TimeoutError as NoAnswer
from dataclasses import dataclass
from typing import Final

from prometheus_client import REGISTRY
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from sqlalchemy.exc import SQLAlchemyError

from app import clock
from app.billing.enums import DeliveryState
from app.database.engine import Database
from app.deliveries import repository as deliveries
from app.invoices.jobs import close_month
from app.logging import describe_error, get_logger
from app.metrics.jobs import OTHER
from app.outbox import repository as outbox

MAX_AGE: Final = 15.0
"""Seconds for which an answer of the database is shown."""
FINISHED_MAX_AGE: Final = 300.0
"""Seconds for which the number of settled deliveries is: each look reads their whole table."""
MAX_OVERDUE_COUNT: Final = 10_000
"""Overdue invoices that are counted."""
_ANSWER_SECONDS: Final = 4.0
"""What the database may take in all."""
_LOOP_SECONDS: Final = 6.0
"""What this process may take; its other metrics are shown even where it hangs."""

_logger = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Seen:
    waiting: list[outbox.OpenEntries]
    on_their_way: dict[str, int]
    settled: dict[str, int]
    closed: close_month.Closed


class DatabaseCollector:
    """Asks the database for numbers, and keeps them while they are fresh."""

    def __init__(self, database: Database, jobs: Collection[str]) -> None:
        self._database = database
        self._jobs = jobs
        self._alone = asyncio.Lock()
        self._asked_at = -MAX_AGE
        self._seen: _Seen | None = None
        self._settled_at = -FINISHED_MAX_AGE
        self._settled: dict[str, int] = {}

    def from_threads(self, loop: asyncio.AbstractEventLoop) -> "_Shown":
        """Return what shows these numbers, beside all that the process counts, to other threads."""

        def fetch() -> list[Metric]:
            asked = asyncio.run_coroutine_threadsafe(self.metrics(), loop)
            try:
                return asked.result(_LOOP_SECONDS)
            except NoAnswer:
                asked.cancel()
                return [_up(False)]

        return _Shown(fetch)

    async def metrics(self) -> list[Metric]:
        """Return the numbers as metrics, at most `MAX_AGE` seconds old."""
        async with self._alone:
            if clock.monotonic() - self._asked_at >= MAX_AGE:
                self._seen = await self._look()
                self._asked_at = clock.monotonic()
        return [_up(False)] if self._seen is None else [_up(True), *self._told(self._seen)]

    async def _look(self) -> _Seen | None:
        try:
            async with asyncio.timeout(_ANSWER_SECONDS), self._database.reading() as connection:
                waiting = await outbox.count_open_entries(connection)
                on_their_way = await deliveries.count_open(connection)
                closed = await close_month.closed(connection, MAX_OVERDUE_COUNT)
                if clock.monotonic() - self._settled_at >= FINISHED_MAX_AGE:
                    self._settled = await deliveries.count_finished(connection)
                    self._settled_at = clock.monotonic()
        except (SQLAlchemyError, OSError, TimeoutError) as error:
            _logger.warning("database not watched", error=describe_error(error))
            return None
        return _Seen(waiting, on_their_way, self._settled, closed)

    def _told(self, seen: _Seen) -> Iterable[Metric]:
        entries = GaugeMetricFamily(
            "invoicing_outbox_entries",
            "Open entries of the outbox: due now, or later, which includes those being run.",
            labels=["name", "due"],
        )
        for job, due, later in self._by_job(seen.waiting):
            entries.add_metric([job, "now"], due)
            entries.add_metric([job, "later"], later)
        yield entries
        ages = [each.oldest_due_for for each in seen.waiting if each.oldest_due_for is not None]
        age = max(ages).total_seconds() if ages else 0.0
        yield GaugeMetricFamily(
            "invoicing_outbox_oldest_due_seconds",
            "For how long the oldest entry of the outbox that is due has been so; 0 without any.",
            value=max(age, 0.0),
        )
        by_state = GaugeMetricFamily(
            "invoicing_deliveries",
            "Deliveries by state; those settled as of the last five minutes.",
            labels=["state"],
        )
        counts = seen.on_their_way | seen.settled
        for state in DeliveryState:
            by_state.add_metric([state], counts.get(state, 0))
        yield by_state
        yield GaugeMetricFamily(
            "invoicing_last_closed_month_timestamp_seconds",
            "The start of the last month that is closed, as Unix time.",
            value=seen.closed.last.start.timestamp(),
        )
        yield GaugeMetricFamily(
            "invoicing_overdue_invoices",
            "Pending invoices of past months that are ours to issue,"
            f" counted to {MAX_OVERDUE_COUNT}.",
            value=seen.closed.overdue,
        )

    def _by_job(self, waiting: list[outbox.OpenEntries]) -> Iterable[tuple[str, int, int]]:
        sums = dict.fromkeys((*self._jobs, OTHER), (0, 0))
        for each in waiting:
            job = each.job if each.job in sums else OTHER
            due, later = sums[job]
            sums[job] = (due + each.due, later + each.later)
        return [(job, due, later) for job, (due, later) in sums.items()]


class _Shown:
    """All metrics of the worker, for a thread that shows them."""

    def __init__(self, fetch: Callable[[], list[Metric]]) -> None:
        self._fetch = fetch

    def collect(self) -> Iterable[Metric]:
        """Return what the process counts and what the database tells."""
        yield from REGISTRY.collect()
        yield from self._fetch()


def _up(answers: bool) -> Metric:
    return GaugeMetricFamily(
        "invoicing_database_up", "Whether the database answers the worker.", value=float(answers)
    )
