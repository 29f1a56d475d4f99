"""Collects metrics from the database: open jobs, deliveries, the last closed month, credit notes.

A scrape by Prometheus queries the database with a few statements, unless a recent result is cached.
If the database does not answer, only `invoicing_database_up` is exported, as 0.
"""

import asyncio
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from prometheus_client import REGISTRY
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from sqlalchemy.exc import SQLAlchemyError

from app import clock
from app.billing.enums import DeliveryState
from app.credit_notes.queries.credited import count_credit_notes
from app.database import replication
from app.database.engine import Database
from app.deliveries import repository as deliveries
from app.invoices.jobs import close_month
from app.jobs.replication import replication_metrics
from app.logging import describe_error, get_logger
from app.metrics.jobs import OTHER
from app.outbox import repository as outbox

MAX_AGE: Final = 15.0
"""Seconds for which a result is cached."""
FINISHED_MAX_AGE: Final = 300.0
"""Seconds for which the count of finished deliveries is cached; it reads the whole table."""
MAX_OVERDUE_COUNT: Final = 10_000
"""The count of overdue invoices stops here."""
_QUERY_TIMEOUT: Final = 4.0
"""Seconds for all queries of a scrape."""
_SCRAPE_TIMEOUT: Final = 6.0
"""Seconds a scrape waits for the event loop; the other metrics are exported even if it hangs."""

_logger = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Snapshot:
    open_entries: list[outbox.OpenEntries]
    open_deliveries: dict[str, int]
    finished_deliveries: dict[str, int]
    closed: close_month.CloseStatus
    credit_notes: int
    server: replication.Server


class DatabaseCollector:
    """Queries the database for metrics and caches them."""

    def __init__(
        self, database: Database, jobs: Collection[str], grace: timedelta = timedelta()
    ) -> None:
        self._database = database
        self._jobs = jobs
        self._grace = grace
        self._lock = asyncio.Lock()
        self._queried_at = -MAX_AGE
        self._snapshot: _Snapshot | None = None
        self._finished_at = -FINISHED_MAX_AGE
        self._finished: dict[str, int] = {}

    async def metrics(self) -> list[Metric]:
        """Return the metrics, at most `MAX_AGE` seconds old."""
        async with self._lock:
            if clock.monotonic() - self._queried_at >= MAX_AGE:
                self._snapshot = await self._query()
                self._queried_at = clock.monotonic()
        if self._snapshot is None:
            return [_database_up(False)]
        return [_database_up(True), *self._to_metrics(self._snapshot)]

    async def _query(self) -> _Snapshot | None:
        try:
            async with asyncio.timeout(_QUERY_TIMEOUT), self._database.reading() as connection:
                open_entries = await outbox.count_open_entries(connection)
                open_deliveries = await deliveries.count_by_state(connection, is_open=True)
                closed = await close_month.find_close_status(
                    connection, MAX_OVERDUE_COUNT, self._grace
                )
                credit_notes = await count_credit_notes(connection)
                server = await replication.find_server(connection)
                if clock.monotonic() - self._finished_at >= FINISHED_MAX_AGE:
                    self._finished = await deliveries.count_by_state(connection, is_open=False)
                    self._finished_at = clock.monotonic()
        except (SQLAlchemyError, OSError, TimeoutError) as error:
            _logger.warning("database metrics unavailable", error=describe_error(error))
            return None
        return _Snapshot(
            open_entries, open_deliveries, self._finished, closed, credit_notes, server
        )

    def _to_metrics(self, snapshot: _Snapshot) -> Iterable[Metric]:
        entries = GaugeMetricFamily(
            "invoicing_outbox_entries",
            "Open entries of the outbox, due now or later; `later` includes those being run.",
            labels=["name", "due"],
        )
        for job, due, later in self._by_job(snapshot.open_entries):
            entries.add_metric([job, "now"], due)
            entries.add_metric([job, "later"], later)
        yield entries
        ages = [each.oldest_due_age for each in snapshot.open_entries if each.oldest_due_age]
        age = max(ages).total_seconds() if ages else 0.0
        yield GaugeMetricFamily(
            "invoicing_outbox_oldest_due_seconds",
            "How long the oldest due entry of the outbox has been due; 0 without any.",
            value=max(age, 0.0),
        )
        by_state = GaugeMetricFamily(
            "invoicing_deliveries",
            "Deliveries by state; sent and failed ones are at most five minutes old.",
            labels=["state"],
        )
        counts = snapshot.open_deliveries | snapshot.finished_deliveries
        for state in DeliveryState:
            by_state.add_metric([state], counts.get(state, 0))
        yield by_state
        yield GaugeMetricFamily(
            "invoicing_last_closed_month_timestamp_seconds",
            "The start of the last closed month, as Unix time.",
            value=snapshot.closed.last_closed.start.timestamp(),
        )
        yield GaugeMetricFamily(
            "invoicing_overdue_invoices",
            f"Invoices of past months that are to be issued, counted up to {MAX_OVERDUE_COUNT}.",
            value=snapshot.closed.overdue,
        )
        yield CounterMetricFamily(
            "invoicing_credit_notes",
            "Credit notes, of requests, cancelations and imports.",
            value=snapshot.credit_notes,
        )
        yield from replication_metrics(snapshot.server)

    def _by_job(self, open_entries: list[outbox.OpenEntries]) -> Iterable[tuple[str, int, int]]:
        sums = dict.fromkeys((*self._jobs, OTHER), (0, 0))
        for each in open_entries:
            job = each.job if each.job in sums else OTHER
            due, later = sums[job]
            sums[job] = (due + each.due, later + each.later)
        return [(job, due, later) for job, (due, later) in sums.items()]


class WorkerCollector:
    """All metrics of the worker, for the thread of the exporter."""

    def __init__(self, database: DatabaseCollector, loop: asyncio.AbstractEventLoop) -> None:
        self._database = database
        self._loop = loop

    def collect(self) -> Iterable[Metric]:
        """Yield the metrics of the process and those from the database."""
        yield from REGISTRY.collect()
        future = asyncio.run_coroutine_threadsafe(self._database.metrics(), self._loop)
        try:
            yield from future.result(_SCRAPE_TIMEOUT)
        except TimeoutError:
            future.cancel()
            yield _database_up(False)


def _database_up(is_up: bool) -> Metric:
    return GaugeMetricFamily(
        "invoicing_database_up", "Whether the database answers the worker.", value=float(is_up)
    )
