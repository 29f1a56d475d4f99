"""Whether the user that a server runs as can use its directory, and what to do if not."""

import errno
import os
import pwd
import stat
from pathlib import Path

from app.server.child_process import Account

_OF_A_DIRECTORY, _OF_A_FILE = 0o700, 0o600
"""The permissions that an owner needs."""
_OF_OTHERS = 0o027
"""The permissions of other users that PostgreSQL refuses on its data folder."""


def why_unusable(place: Path, account: Account | None) -> str:
    """Return why a user cannot use a file or directory as its owner; empty if it can.

    None means the current user.
    """
    uid = _uid(account)
    try:
        status = place.lstat()
    except FileNotFoundError:  # a server that has just ended took it away
        return ""
    except OSError as error:
        return f"{place}: {error.strerror}"
    if stat.S_ISLNK(status.st_mode):
        return ""
    if status.st_uid != uid:
        return f"{place} belongs to the user {_user(status.st_uid)}, not to {_user(uid)}"
    needed = _OF_A_DIRECTORY if stat.S_ISDIR(status.st_mode) else _OF_A_FILE
    if status.st_mode & needed != needed:
        return f"{place} has the mode {_mode(status)}, which shuts out its user, {_user(uid)}"
    return ""


def why_any_unusable(directory: Path, account: Account | None) -> str:
    """Return why a user cannot use a directory, or the first below it that it cannot use."""
    if problem := why_unusable(directory, account):
        return problem
    for folder, folders, files in os.walk(directory):
        # Each folder is looked at before what is in it, which may not be seen without it.
        for name in (*folders, *files):
            if problem := why_unusable(Path(folder, name), account):
                return problem
    return ""


def why_open(directory: Path) -> str:
    """Return how others can read or write a directory, its group's reading apart; else nothing."""
    status = directory.stat()
    if status.st_mode & _OF_OTHERS:
        return f"{directory} has the mode {_mode(status)}, which lets others in"
    return ""


def remedy(directory: Path, account: Account | None) -> str:
    """Return what gives a directory back to the user that is to use it, as a sentence."""
    give = f"chown -R {_user(_uid(account))} {directory}"
    return f"Run, as root if need be: {give} && chmod -R u+rwX,go-w,o= {directory}"


def told(error: OSError, place: Path, account: Account | None = None) -> str:
    """Return an error of the system about a place below `place`, with what to do, in one line."""
    where = error.filename or place
    what = f"{where}: {error.strerror}."
    if error.errno in (errno.EACCES, errno.EPERM):
        return f"{what} {remedy(place, account)}"
    if error.errno in (errno.EROFS, errno.ENOSPC, errno.EDQUOT):
        return f"{what} Let it be written to, or make room there."
    return what


def _uid(account: Account | None) -> int:
    return os.geteuid() if account is None else account.uid


def _mode(status: os.stat_result) -> str:
    return f"{stat.S_IMODE(status.st_mode):04o}"


def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
