"""Checks that a server's user can use its directory, with hints for the repair."""

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


def access_problem(place: Path, account: Account | None) -> str:
    """Return the reason why an account cannot use a file or directory as its owner; else empty.

    None means the current user.
    """
    uid = _uid(account)
    try:
        status = place.lstat()
    except FileNotFoundError:  # a server that has just ended removed it
        return ""
    except OSError as error:
        return f"{place}: {error.strerror}"
    if stat.S_ISLNK(status.st_mode):
        return ""
    if status.st_uid != uid:
        return f"{place} belongs to the user {_user(status.st_uid)}, not to {_user(uid)}"
    needed = _OF_A_DIRECTORY if stat.S_ISDIR(status.st_mode) else _OF_A_FILE
    if status.st_mode & needed != needed:
        return (
            f"{place} has the mode {_mode(status)}, which denies access to its user, {_user(uid)}"
        )
    return ""


def first_access_problem(directory: Path, account: Account | None) -> str:
    """Return the first access problem of a directory and everything below it; else empty."""
    if problem := access_problem(directory, account):
        return problem
    for folder, folders, files in os.walk(directory):
        # Check each folder before its contents, which may be invisible without access to it.
        for name in (*folders, *files):
            if problem := access_problem(Path(folder, name), account):
                return problem
    return ""


def exposure_problem(directory: Path) -> str:
    """Return the reason why other users can read or write a directory; else empty.

    PostgreSQL allows its group to read.
    """
    status = directory.stat()
    if status.st_mode & _OF_OTHERS:
        return f"{directory} has the mode {_mode(status)}, which allows access to other users"
    return ""


def repair_hint(directory: Path, account: Account | None) -> str:
    """Return a sentence with the command that gives a directory to the account."""
    give = f"chown -R {_user(_uid(account))} {directory}"
    return f"Run, as root if necessary: {give} && chmod -R u+rwX,go-w,o= {directory}"


def describe_os_error(error: OSError, place: Path, account: Account | None = None) -> str:
    """Return a system error about a path below `place` in one line, with a hint for the repair."""
    where = error.filename or place
    what = f"{where}: {error.strerror}."
    if error.errno in (errno.EACCES, errno.EPERM):
        return f"{what} {repair_hint(place, account)}"
    if error.errno in (errno.EROFS, errno.ENOSPC, errno.EDQUOT):
        return f"{what} Make it writable, or free some space."
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
