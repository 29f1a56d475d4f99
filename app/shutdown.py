"""How a process shuts down: gracefully and within a time limit, or at once if asked twice."""

import faulthandler
import os
import signal
import time
from collections.abc import Callable
from types import FrameType
from typing import Final

SHUTDOWN_SECONDS: Final = 25.0
"""From the signal until the process is gone, whatever clients, jobs and other servers do."""
LAST_RESORT: Final = SHUTDOWN_SECONDS - 1
"""Seconds after which a process that has not ended is terminated."""
DRAINING: Final = "draining"
"""The key in a request's state that is true once its process began to shut down."""
FORCED_EXIT_CODE: Final = 1
"""The exit code of a process that did not shut down gracefully."""


class ShutdownSignals:
    """Handles the signals that ask a process to end.

    The first signal begins a graceful shutdown and a timeout: at `LAST_RESORT` the process writes
    its stacks to standard error and exits. A second signal of any kind makes the process exit at
    once, as people expect of Ctrl-C. That is safe: PostgreSQL rolls back open transactions, and
    another worker runs the jobs.
    """

    def __init__(self) -> None:
        self._received_at: float | None = None

    def handle(self, number: signal.Signals, begin: Callable[[], object]) -> None:
        """Let a signal begin the shutdown. `begin` runs as a signal handler and must be brief."""

        def handler(_number: int, _frame: FrameType | None) -> None:
            if self._received_at is not None:
                os._exit(FORCED_EXIT_CODE)
            self._received_at = time.monotonic()
            # This thread does not need the interpreter lock: a blocked process cannot stop it.
            faulthandler.dump_traceback_later(LAST_RESORT, exit=True)
            begin()

        signal.signal(number, handler)

    @property
    def seconds(self) -> float:
        """Seconds since the first signal; 0 before it."""
        return 0.0 if self._received_at is None else time.monotonic() - self._received_at
