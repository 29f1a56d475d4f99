"""Serves metrics for Prometheus on a port of their own, apart from the API's.

`prometheus_client` decides when it is imported whether values belong to one process or are shared
by several. So this module imports it only inside functions.
"""

import atexit
import os
from collections.abc import Iterator
from contextlib import contextmanager
from tempfile import TemporaryDirectory
from threading import Event, Thread
from typing import TYPE_CHECKING, Final

from app.logging import get_logger

if TYPE_CHECKING:
    from prometheus_client.registry import Collector

_RETRY_SECONDS: Final = 5.0
"""Between attempts to bind a port that another process has, such as one that is about to end."""
_STOP_SECONDS: Final = 5.0
_DIRECTORY: Final = "PROMETHEUS_MULTIPROC_DIR"
"""The environment variable of `prometheus_client` for values that processes share."""

_logger = get_logger(__name__)


@contextmanager
def metrics_server(host: str, port: int, collector: "Collector") -> Iterator[None]:
    """Serve `http://host:port/metrics` for the length of the context; not at all if port is 0.

    If the port is in use, this logs a warning and tries again: the service runs without metrics
    meanwhile.
    """
    if port == 0:
        yield
        return
    stop = Event()
    thread = _start(host, port, collector, stop)
    try:
        yield
    finally:
        stop.set()
        thread.join(_STOP_SECONDS)


def serve_shared_metrics(host: str, port: int) -> None:
    """Serve the sums over this process and those that it starts, until this process ends.

    To be called before any metric is imported. The values are in files of a directory that this
    process removes at its end. The counts of a process that dies stay.
    """
    if port == 0:
        return
    directory = TemporaryDirectory(prefix="invoicing-metrics-", ignore_cleanup_errors=True)
    atexit.register(directory.cleanup)
    os.environ[_DIRECTORY] = directory.name
    from prometheus_client.multiprocess import MultiProcessCollector  # noqa: PLC0415

    _start(host, port, MultiProcessCollector(None), Event())  # type: ignore[no-untyped-call]


def drop_gauges_of(process_id: int) -> None:
    """Remove what a process that has died had in progress from the shared metrics."""
    if _DIRECTORY in os.environ:
        from prometheus_client.multiprocess import mark_process_dead  # noqa: PLC0415

        mark_process_dead(process_id)  # type: ignore[no-untyped-call]


def _start(host: str, port: int, collector: "Collector", stop: Event) -> Thread:
    thread = Thread(target=_serve, args=(host, port, collector, stop), name="metrics", daemon=True)
    thread.start()
    return thread


def _serve(host: str, port: int, collector: "Collector", stop: Event) -> None:
    from prometheus_client import CollectorRegistry, start_http_server  # noqa: PLC0415

    registry = CollectorRegistry()
    registry.register(collector)
    is_logged = False
    while True:
        try:
            server, _ = start_http_server(port, host, registry)
            break
        except OSError as error:
            if not is_logged:
                reason = error.strerror or type(error).__name__
                _logger.warning("metrics not shown yet", host=host, port=port, reason=reason)
            is_logged = True
        if stop.wait(_RETRY_SECONDS):
            return
    _logger.info("metrics shown", host=host, port=port)
    stop.wait()
    server.shutdown()
    server.server_close()
