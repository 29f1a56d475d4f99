"""How a process ends when it is asked to: in order and in time, or at once if asked again."""

import faulthandler
import os
import signal
import time
from collections.abc import Callable
from types import FrameType
from typing import Final

MOST_SECONDS: Final = 25.0
"""From the signal until the process is gone, whatever clients, jobs and other servers do."""
LAST_RESORT: Final = MOST_SECONDS - 1
"""Seconds after which a process that still has not ended is ended without asking it."""
DRAINING: Final = "draining"
"""What the state of a request says once the process that serves it was asked to end."""
AT_ONCE: Final = 1
"""The exit code of a process that was not let end in order."""


class Ending:
    """What the signals do that ask a process to end.

    The first begins an orderly end, and a watch over it: where that takes too long, the process
    shows on standard error where it hangs, and is gone. A second signal of any kind ends it at
    once, as people expect of Ctrl-C. PostgreSQL then rolls back what was open, and jobs are taken
    up elsewhere.
    """

    def __init__(self) -> None:
        self._asked_at: float | None = None

    def on(self, number: signal.Signals, begin: Callable[[], object]) -> None:
        """Let a signal begin the end; `begin` is called amid whatever runs, and must be brief."""

        def told(_number: int, _frame: FrameType | None) -> None:
            if self._asked_at is not None:
                os._exit(AT_ONCE)
            self._asked_at = time.monotonic()
            # A thread of its own, which needs nothing of Python: what hangs cannot stop it.
            faulthandler.dump_traceback_later(LAST_RESORT, exit=True)
            begin()

        signal.signal(number, told)

    @property
    def asked(self) -> bool:
        """Whether the process was asked to end."""
        return self._asked_at is not None

    @property
    def seconds(self) -> float:
        """Seconds since the process was asked to end; 0 before."""
        return 0.0 if self._asked_at is None else time.monotonic() - self._asked_at
