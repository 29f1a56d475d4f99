"""The worker's jobs. Their label is `name`, since Prometheus calls by `job` where it looks."""

from collections.abc import Iterable
from enum import StrEnum
from typing import Final

from prometheus_client import Counter, Gauge, Histogram

OTHER: Final = "other"
"""The label of a job that this worker does not know, such as one of a newer version."""


class JobResult(StrEnum):
    """How an attempt at a job may end."""

    DONE = "done"
    LATER = "later"
    """Nothing failed; the job asked to be run again at a moment."""
    FAILED = "failed"
    """To be tried again."""
    GIVEN_UP = "given_up"
    HANDED_BACK = "handed_back"
    """The worker was asked to end; another will run the job."""
    LOST = "lost"
    """Another worker has taken the job meanwhile."""


JOBS_RUNNING: Final = Gauge("invoicing_jobs_running", "Jobs that the worker is at.")
LAST_LOOK: Final = Gauge(
    "invoicing_worker_last_look_timestamp_seconds",
    "When the worker last looked at the outbox, as Unix time.",
)
DATABASE_READ_ONLY: Final = Gauge(
    "invoicing_database_read_only",
    "Whether the database takes no changes, as the worker last found it.",
)
_ATTEMPTS: Final = Counter(
    "invoicing_job_attempts_total", "Attempts at jobs, by how they ended.", ["name", "result"]
)
_SECONDS: Final = Histogram(
    "invoicing_job_duration_seconds",
    "How long attempts at jobs took.",
    ["name"],
    buckets=(0.05, 0.25, 1, 5, 30, 120, 600, 1800, 7200),
)


def expect_jobs(names: Iterable[str]) -> None:
    """Let the series of jobs begin at zero: one that began with a failure would show no rise."""
    for name in (*names, OTHER):
        for result in JobResult:
            _ATTEMPTS.labels(name, result)


def job_ended(name: str, result: JobResult, seconds: float) -> None:
    """Count an attempt at a job."""
    _ATTEMPTS.labels(name, result).inc()
    _SECONDS.labels(name).observe(seconds)
