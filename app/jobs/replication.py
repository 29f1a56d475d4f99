"""Metrics of replication: the role of the worker's database server, its standbys and their lag."""

from collections import Counter
from collections.abc import Iterable
from typing import Final

from prometheus_client.metrics_core import GaugeMetricFamily, Metric

from app.database.replication import SYNC_STATES, Server

_HIDDEN: Final = "hidden"
"""The state of standbys that the role may not see in detail."""


def replication_metrics(server: Server) -> Iterable[Metric]:
    """Yield the metrics; a lag that the role may not see is NaN."""
    yield GaugeMetricFamily(
        "invoicing_database_is_standby",
        "Whether the server that the worker uses is a standby.",
        value=float(server.is_standby),
    )
    standbys = GaugeMetricFamily(
        "invoicing_database_standbys",
        "Standbys of the server by sync_state; the service's role needs pg_monitor to see it.",
        labels=["state"],
    )
    counts = Counter(each.sync_state for each in server.standbys)
    counts[_HIDDEN] = server.hidden_standbys
    for state in (*SYNC_STATES, _HIDDEN):
        standbys.add_metric([state], counts[state])
    yield standbys
    lags = [each.lag for each in server.standbys] + ([server.lag] if server.lag else [])
    unknown = [float("nan")] * bool(server.hidden_standbys)
    yield GaugeMetricFamily(
        "invoicing_database_replication_lag_bytes",
        "The largest lag of the server's standbys, or its own as a standby; NaN if it is hidden.",
        value=max(unknown + [lag.bytes for lag in lags], default=0),
    )
    yield GaugeMetricFamily(
        "invoicing_database_replication_lag_seconds",
        "The largest lag of the server's standbys, or its own as a standby; NaN if it is hidden.",
        value=max(unknown + [lag.seconds for lag in lags], default=0),
    )
