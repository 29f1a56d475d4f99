"""Become a server that ends with the process that started it, and is not root.

Run as a script, `launch.py PARENT SIGNAL UID GID COMMAND…`, and never imported: a change of user
clears the signal that the kernel sends when the parent dies, so it has to be asked for after that
change and before the server's own program starts. Doing so here instead of in a `preexec_fn` keeps
Python code out of the moment between fork and exec, where it can deadlock.

UID and GID are -1 where the user stays. The working directory and open files are kept.
"""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def main(parent: int, death_signal: int, uid: int, gid: int, command: list[str]) -> None:
    """Drop to the user, tie this process to its parent, and become the command."""
    if uid >= 0:
        os.setgroups([])
        os.setgid(gid)
        os.setuid(uid)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, death_signal, 0, 0, 0)
        if os.getppid() != parent:  # it died before we asked to be told
            sys.exit("The process that started this one is gone.")
    # Python ignores these two for itself; a server expects what every program starts with.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
    os.umask(0o077)
    try:
        os.execv(command[0], command)  # noqa: S606 - the command is a path and arguments, no shell
    except OSError as error:
        sys.exit(f"Cannot run {command[0]}: {error.strerror}")


if __name__ == "__main__":
    _parent, _signal, _uid, _gid = map(int, sys.argv[1:5])
    main(_parent, _signal, _uid, _gid, sys.argv[5:])
