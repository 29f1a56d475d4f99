"""The connections of a process to its database."""

from typing import Final

from prometheus_client import Gauge, Histogram

CONNECTIONS_IN_USE: Final = Gauge(
    "invoicing_database_connections_in_use",
    "Connections of the process's pool that are in use.",
    multiprocess_mode="liveall",
)
CONNECTIONS_MAX: Final = Gauge(
    "invoicing_database_connections_max",
    "Maximum size of the process's pool (DATABASE_POOL_SIZE).",
    multiprocess_mode="liveall",
)
CONNECTION_WAIT: Final = Histogram(
    "invoicing_database_connection_wait_seconds",
    "Time spent waiting for a free or new connection, whether or not there was one.",
    buckets=(0.001, 0.01, 0.1, 0.5, 1, 2.5, 5, 10),
)
