"""Several processes of the API behind one listening socket."""

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
from app.server.child_process import set_parent_death_signal
from app.server.server import Server, configuration
from app.shutdown import AT_ONCE, MOST_SECONDS, Ending

_ALL_DRAIN, _ALL_END = signal.SIGUSR1, signal.SIGUSR2
"""What the parent sends its children to end them all: with or without waiting to be known as not
ready. SIGTERM ends one of them alone."""
_TICK: Final = 0.1
_RESTART_PAUSE: Final = 1.0

_logger = get_logger(__name__)
_spawn = multiprocessing.get_context("spawn")


class Processes:
    """Starts processes, starts those again that end by themselves, and ends them together."""

    def __init__(self, config: uvicorn.Config, number: int, drain_seconds: float) -> None:
        self._config = config
        self._number = number
        self._drain_seconds = drain_seconds
        self._signals: list[int] = []
        self._children: list[SpawnProcess] = []

    def run(self) -> int:
        """Serve until asked to end; return the exit code."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._told)
        with self._config.bind_socket() as listener:
            code = self._watch(listener)
        # The listener is closed here, so that with the last child nobody listens any more.
        return self._end() or code

    def _told(self, number: int, _frame: FrameType | None) -> None:
        self._signals.append(number)

    def _watch(self, listener: socket) -> int:
        """Keep the number of children until a signal comes, or one fails to start."""
        while not self._signals:
            while len(self._children) < self._number:
                self._children.append(self._start(listener))
            wait([child.sentinel for child in self._children], _TICK)
            ended = [child for child in self._children if child.exitcode is not None]
            for child in ended:
                self._children.remove(child)
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
        """End the children in order; at once where a second signal comes, or time is up."""
        drain = signal.SIGINT not in self._signals
        for child in self._children:
            if child.pid is not None and child.exitcode is None:
                os.kill(child.pid, _ALL_DRAIN if drain else _ALL_END)
        patience = time.monotonic() + MOST_SECONDS
        while alive := [child for child in self._children if child.exitcode is None]:
            if len(self._signals) > 1 or time.monotonic() > patience:
                for child in alive:
                    child.kill()
                return AT_ONCE
            wait([child.sentinel for child in alive], _TICK)
        return max(0, *(child.exitcode or 0 for child in self._children))


def _serve(host: str, port: int, listener: socket, drain_seconds: float) -> None:
    """Serve in a child; it ends when its parent tells it to, or is gone."""
    # Ctrl-C reaches everyone in the terminal's group, and the parent passes it on.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    ending = Ending()
    server = Server(configuration(host, port), ending)
    ending.on(signal.SIGTERM, lambda: server.end(drain_seconds, others_listen=True))
    ending.on(_ALL_DRAIN, lambda: server.end(drain_seconds))
    ending.on(_ALL_END, lambda: server.end(0))
    set_parent_death_signal(signal.SIGTERM)
    server.run([listener])
