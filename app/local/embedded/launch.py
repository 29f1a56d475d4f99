"""Become a program that ends with the process that started it, and is not root.

Run as a script, `launch.py PARENT SIGNAL UID GID COMMAND…`: a change of user clears the signal that
the kernel sends when the parent dies, so it has to be asked for after that change and before the
program itself starts. Doing so here instead of in a `preexec_fn` keeps Python code out of the
moment between fork and exec, where it can deadlock.

UID and GID are -1 where the user stays. The working directory and open files are kept. Only the
standard library is imported here, so that any Python can run this file wherever it is.
"""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def ask_for_signal(number: int) -> None:
    """Have the kernel send this process the signal when its parent dies; only Linux can."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, number, 0, 0, 0)


def main(parent: int, death_signal: int, uid: int, gid: int, command: list[str]) -> None:
    """Drop to the user, tie this process to its parent, and become the command."""
    if uid >= 0:
        os.setgroups([])
        os.setgid(gid)
        os.setuid(uid)
    ask_for_signal(death_signal)
    if os.getppid() != parent:  # it died before we asked to be told
        sys.exit("The process that started this one is gone.")
    # Python ignores these two for itself, and what it starts would inherit that.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
    try:
        os.execv(command[0], command)  # noqa: S606 - the command is a path and arguments, no shell
    except OSError as error:
        sys.exit(f"Cannot run {command[0]}: {error.strerror}")


if __name__ == "__main__":
    _parent, _signal, _uid, _gid = map(int, sys.argv[1:5])
    main(_parent, _signal, _uid, _gid, sys.argv[5:])
