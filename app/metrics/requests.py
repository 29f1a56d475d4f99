"""Requests of the API."""

from functools import cache
from typing import Final

from prometheus_client import Counter, Gauge, Histogram

ABORTED: Final = "aborted"
"""The status of a request that ended before its response started."""
METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
OTHER_METHOD: Final = "other"
"""Stands for any other method, so that clients cannot add series."""

REQUESTS_IN_PROGRESS: Final = Gauge(
    "invoicing_http_requests_in_progress",
    "Requests whose response has not ended.",
    multiprocess_mode="livesum",
)
_REQUESTS: Final = Counter(
    "invoicing_http_requests_total",
    "Requests, by the operation's id in OpenAPI, method and status.",
    ["operation", "method", "status"],
)
_SECONDS: Final = Histogram(
    "invoicing_http_request_duration_seconds",
    "Time from a request's arrival to the end of its response.",
    ["operation", "method"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
)


@cache
def request_series(operation: str, method: str, status: int) -> tuple[Counter, Histogram]:
    """Return the counter and the durations of such requests; the method is a known one.

    `status` is 0 for a request whose response never started.
    """
    return (
        _REQUESTS.labels(operation, method, str(status or ABORTED)),
        _SECONDS.labels(operation, method),
    )
