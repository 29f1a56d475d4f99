"""Child processes that end with the process that started them, and that need not run as root.

Run as a script, `child_process.py PARENT SIGNAL UID GID COMMAND…`, this module becomes COMMAND. A
change of user clears the parent-death signal (`PR_SET_PDEATHSIG`), so the signal is set after that
change and before COMMAND starts. A script does this rather than a `preexec_fn`, because Python code
between fork and exec can deadlock. UID and GID are -1 if the user stays. The working directory and
open files are kept.

The script runs with the standard library alone, so this module imports nothing else.
"""

import ctypes
import os
import signal
import sys
from collections.abc import Sequence
from typing import NamedTuple

_PR_SET_PDEATHSIG = 1


class Account(NamedTuple):
    """A user and its group, by number."""

    uid: int
    gid: int


def with_parent_death_signal(
    command: Sequence[str], death_signal: signal.Signals, account: Account | None = None
) -> list[str]:
    """Return a command that runs `command`, which gets the signal when the calling process ends.

    `command` runs as `account`, or as the current user if that is None. Start it from a thread that
    lives as long as the process should, best the main thread: Linux sends the signal when that
    thread ends. Other systems have no such signal.
    """
    ids = account or (-1, -1)
    numbers = map(str, (os.getpid(), int(death_signal), *ids))
    # -I and -S: the script needs the standard library alone, and must not import anything else.
    return [sys.executable, "-I", "-S", __file__, *numbers, *command]


def set_parent_death_signal(number: int) -> None:
    """Have the kernel send this process the signal when its parent ends; Linux only."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, number, 0, 0, 0)


def _become(parent: int, death_signal: int, uid: int, gid: int, command: list[str]) -> None:
    """Switch to the user, set the parent-death signal, and become the command."""
    if uid >= 0:
        os.setgroups([])
        os.setgid(gid)
        os.setuid(uid)
    set_parent_death_signal(death_signal)
    if os.getppid() != parent:  # it ended before the signal was set
        sys.exit("The process that started this one is gone.")
    # Python ignores these two signals, and a command that it becomes would inherit that.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
    try:
        os.execv(command[0], command)  # noqa: S606 - the command is a path and arguments, no shell
    except OSError as error:
        sys.exit(f"Cannot run {command[0]}: {error.strerror}")


if __name__ == "__main__":
    _parent, _signal, _uid, _gid = map(int, sys.argv[1:5])
    _become(_parent, _signal, _uid, _gid, sys.argv[5:])
