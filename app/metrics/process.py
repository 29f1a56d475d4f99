"""A process: its version, and its connections to the database."""

import platform
from typing import Final

from prometheus_client import Gauge, Histogram

from app import __version__

_BUILD: Final = Gauge(
    "invoicing_build_info",
    "1, with the version of the service and of Python.",
    ["version", "python"],
    multiprocess_mode="livemax",
)
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


def set_build_info() -> None:
    """Set the versions; to be called when the process starts."""
    _BUILD.labels(__version__, platform.python_version()).set(1)
