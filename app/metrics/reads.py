"""The servers that reads of the API went to, while DATABASE_READ_URL is set."""

from typing import Final

from prometheus_client import Counter, Gauge

READS: Final = Counter(
    "invoicing_reads_total",
    "Reads of requests by server, primary or replica, and the reason for it.",
    ["server", "reason"],
)
REPLICA_UP: Final = Gauge(
    "invoicing_replica_up",
    "1 if the process reads from the replica, 0 if it is left out.",
    ["setting"],  # so that there is no value without one
    multiprocess_mode="livemin",
)
