"""Processes that end with the one that started them."""

import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from app.local.embedded import launch
from app.local.embedded.accounts import Account

_LAUNCHER = Path(launch.__file__)


def tied(
    command: Sequence[str], death_signal: signal.Signals, account: Account | None = None
) -> list[str]:
    """Return a command that runs `command` as the account, and gets the signal when we die.

    Start it from a thread that lives as long as the process should, best the main one: Linux ends
    it with the thread that started it. Other systems do not tell a child of its parent's end.
    """
    ids = (-1, -1) if account is None else (account.uid, account.gid)
    numbers = (os.getpid(), int(death_signal), *ids)
    # -I and -S: it needs nothing but the standard library, and must not find anything else.
    return [sys.executable, "-I", "-S", str(_LAUNCHER), *map(str, numbers), *command]


def end_with_parent(death_signal: signal.Signals) -> None:
    """Have the kernel send us the signal when our parent dies, where it can."""
    launch.ask_for_signal(death_signal)
