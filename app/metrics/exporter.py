"""Shows metrics on a port of their own, away from the API's.

Nothing here imports `prometheus_client` before it must: the library decides when it is imported
whether its values are those of one process or are shared by several.
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

_TRY_AGAIN: Final = 5.0
"""Seconds between tries to get a port that another process has, such as one about to end."""
_PATIENCE: Final = 5.0

_logger = get_logger(__name__)


@contextmanager
def exported(host: str, port: int, shown: "Collector") -> Iterator[None]:
    """Answer Prometheus at `http://host:port/metrics` for the length of the context.

    Port 0 means not at all. A port that is not to be had is told in the log and tried again: the
    service is not worth less than what is counted of it.
    """
    if port == 0:
        yield
        return
    ending = Event()
    thread = _start(host, port, shown, ending)
    try:
        yield
    finally:
        ending.set()
        thread.join(_PATIENCE)


def show_together(host: str, port: int) -> None:
    """Show the sum of what this process and those that it starts count, until it ends.

    To be called before anything that counts is imported. The values are in a folder of files, which
    goes with this process; what another has counted stays when that one dies.
    """
    if port == 0:
        return
    folder = TemporaryDirectory(prefix="invoicing-metrics-", ignore_cleanup_errors=True)
    atexit.register(folder.cleanup)
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = folder.name
    from app.metrics.multiprocess import Together  # noqa: PLC0415 - after the folder is named

    _start(host, port, Together(folder.name), Event())


def _start(host: str, port: int, shown: "Collector", ending: Event) -> Thread:
    thread = Thread(target=_serve, args=(host, port, shown, ending), name="metrics", daemon=True)
    thread.start()
    return thread


def _serve(host: str, port: int, shown: "Collector", ending: Event) -> None:
    from prometheus_client import CollectorRegistry, start_http_server  # noqa: PLC0415

    registry = CollectorRegistry()
    registry.register(shown)
    told = False
    while True:
        try:
            server, _ = start_http_server(port, host, registry)
            break
        except OSError as error:
            if not told:
                reason = error.strerror or type(error).__name__
                _logger.warning("metrics not shown yet", host=host, port=port, reason=reason)
            told = True
        if ending.wait(_TRY_AGAIN):
            return
    _logger.info("metrics shown", host=host, port=port)
    ending.wait()
    server.shutdown()
    server.server_close()
