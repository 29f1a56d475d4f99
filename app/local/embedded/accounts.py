"""The unprivileged account of a server that root starts."""

import os
import pwd
from pathlib import Path

from app.server.child_process import Account

_NOBODY_ID = 65534


def unprivileged_account(directory: Path) -> Account | None:
    """Return the account for the server in `directory`; None means the current user.

    Only root needs another account: the directory's owner, so that data of an ordinary user stays
    theirs, or `nobody` for a directory of root.
    """
    if os.geteuid() != 0:
        return None
    owner = directory.stat()
    if owner.st_uid != 0:
        return Account(owner.st_uid, owner.st_gid)
    try:
        nobody = pwd.getpwnam("nobody")
    except KeyError:
        return Account(_NOBODY_ID, _NOBODY_ID)
    return Account(nobody.pw_uid, nobody.pw_gid)


def can_execute(path: Path, account: Account | None) -> bool:
    """Return whether the account can reach and run the program at `path`."""
    if account is None:
        return os.access(path, os.X_OK)
    return all(_allows_x(step, account) for step in (path, *path.parents))


def _allows_x(path: Path, account: Account) -> bool:
    status = path.stat()
    if status.st_uid == account.uid:
        return bool(status.st_mode & 0o100)
    if status.st_gid == account.gid:
        return bool(status.st_mode & 0o010)
    return bool(status.st_mode & 0o001)
