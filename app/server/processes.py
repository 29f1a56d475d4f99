"""Serves the API at an address, with one process or several behind one listening socket."""

import multiprocessing
import os
import signal
import time
from multiprocessing.connection import wait
from multiprocessing.context import SpawnProcess
from socket import socket
from types import FrameType
from typing import Final

import uvicorn
from uvicorn.config import STARTUP_FAILURE

from app.logging import get_logger
from app.metrics.exporter import drop_gauges_of
from app.server.child_process import set_parent_death_signal
from app.server.server import Server, configuration
from app.shutdown import FORCED_EXIT_CODE, SHUTDOWN_SECONDS, ShutdownSignals

_DRAIN_ALL, _END_ALL = signal.SIGUSR1, signal.SIGUSR2
"""Signals of the parent that end all children: with or without draining. SIGTERM ends one child."""
_TICK: Final = 0.1
_RESTART_PAUSE: Final = 1.0

_logger = get_logger(__name__)
_spawn = multiprocessing.get_context("spawn")


def run(host: str, port: int, processes: int, drain_seconds: float) -> int:
    """Serve until SIGTERM or SIGINT; return the exit code.

    After SIGTERM, which a deployment sends, the service is not ready but still accepts requests for
    `drain_seconds`, so that balancers take it out. After SIGINT, which a person sends, it does not
    wait.
    """
    config = configuration(host, port)
    if processes > 1:
        return Processes(config, processes, drain_seconds).run()
    signals = ShutdownSignals()
    server = Server(config, signals)
    signals.handle(signal.SIGTERM, lambda: server.begin_shutdown(drain_seconds))
    signals.handle(signal.SIGINT, lambda: server.begin_shutdown(0))
    server.run()
    return 0 if server.started else STARTUP_FAILURE


class Processes:
    """Starts processes, restarts those that end by themselves, and ends them together."""

    def __init__(self, config: uvicorn.Config, number: int, drain_seconds: float) -> None:
        self._config = config
        self._number = number
        self._drain_seconds = drain_seconds
        self._signals: list[int] = []
        self._children: list[SpawnProcess] = []

    def run(self) -> int:
        """Serve until SIGTERM or SIGINT; return the exit code."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_signal)
        with self._config.bind_socket() as listener:
            code = self._supervise(listener)
        # The socket is closed here, so that connections are refused once the last child is gone.
        return self._end() or code

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        self._signals.append(number)

    def _supervise(self, listener: socket) -> int:
        """Keep the number of children until a signal arrives, or until a child fails to start."""
        while not self._signals:
            while len(self._children) < self._number:
                self._children.append(self._start(listener))
            wait([child.sentinel for child in self._children], _TICK)
            ended = [child for child in self._children if child.exitcode is not None]
            for child in ended:
                self._children.remove(child)
                if child.pid is not None:
                    drop_gauges_of(child.pid)
                if child.exitcode == STARTUP_FAILURE:
                    return STARTUP_FAILURE
                _logger.error("process ended by itself", process=child.pid, code=child.exitcode)
            if ended and not self._signals:
                time.sleep(_RESTART_PAUSE)
        return 0

    def _start(self, listener: socket) -> SpawnProcess:
        child = _spawn.Process(
            target=_serve,
            args=(self._config.host, self._config.port, listener, self._drain_seconds),
        )
        child.start()
        return child

    def _end(self) -> int:
        """End the children gracefully; kill them on a second signal, or when time is up."""
        drain = signal.SIGINT not in self._signals
        for child in self._children:
            if child.pid is not None and child.exitcode is None:
                os.kill(child.pid, _DRAIN_ALL if drain else _END_ALL)
        deadline = time.monotonic() + SHUTDOWN_SECONDS
        while alive := [child for child in self._children if child.exitcode is None]:
            if len(self._signals) > 1 or time.monotonic() > deadline:
                for child in alive:
                    child.kill()
                return FORCED_EXIT_CODE
            wait([child.sentinel for child in alive], _TICK)
        return max(0, *(child.exitcode or 0 for child in self._children))


def _serve(host: str, port: int, listener: socket, drain_seconds: float) -> None:
    """Serve in a child process until the parent ends it, or is gone."""
    # Ctrl-C reaches every process of the terminal's group; the parent passes it on.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signals = ShutdownSignals()
    server = Server(configuration(host, port), signals)
    signals.handle(signal.SIGTERM, lambda: server.begin_shutdown(drain_seconds, others_listen=True))
    signals.handle(_DRAIN_ALL, lambda: server.begin_shutdown(drain_seconds))
    signals.handle(_END_ALL, lambda: server.begin_shutdown(0))
    set_parent_death_signal(signal.SIGTERM)
    server.run([listener])
