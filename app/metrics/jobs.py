"""The worker's jobs. Their label is `name`, since Prometheus uses `job` for the scraped target."""

from collections.abc import Iterable
from enum import StrEnum
from typing import Final

from prometheus_client import Counter, Gauge, Histogram

OTHER: Final = "other"
"""The label of an unknown job, such as one of a newer version."""


class JobResult(StrEnum):
    """The result of an attempt at a job."""

    DONE = "done"
    LATER = "later"
    """Nothing failed: the job asked to run again later."""
    FAILED = "failed"
    """To be tried again."""
    GIVEN_UP = "given_up"
    HANDED_BACK = "handed_back"
    """The worker shuts down; another one will run the job."""
    LOST = "lost"
    """Another worker has taken the job over."""


JOBS_RUNNING: Final = Gauge("invoicing_jobs_running", "Jobs that the worker is running.")
LAST_POLL: Final = Gauge(
    "invoicing_worker_last_look_timestamp_seconds",
    "When the worker last polled the outbox, as Unix time.",
)
DATABASE_READ_ONLY: Final = Gauge(
    "invoicing_database_read_only",
    "Whether the database was read-only when the worker last polled it.",
)
_ATTEMPTS: Final = Counter(
    "invoicing_job_attempts_total", "Attempts at jobs, by result.", ["name", "result"]
)
_SECONDS: Final = Histogram(
    "invoicing_job_duration_seconds",
    "Duration of attempts at jobs.",
    ["name"],
    buckets=(0.05, 0.25, 1, 5, 30, 120, 600, 1800, 7200),
)


def initialise_series(names: Iterable[str]) -> None:
    """Start the series of these jobs at zero, so that a first failure is an increase."""
    for name in (*names, OTHER):
        for result in JobResult:
            _ATTEMPTS.labels(name, result)


def count_job_attempt(name: str, result: JobResult, seconds: float) -> None:
    """Count an attempt at a job."""
    _ATTEMPTS.labels(name, result).inc()
    _SECONDS.labels(name).observe(seconds)
