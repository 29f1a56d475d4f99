"""Errors of the storage of files, and a check that a directory is writable."""

from pathlib import Path
from tempfile import TemporaryFile


class StorageUnavailable(OSError):
    """A disk or an object store fails; the same call may succeed later."""

    def __init__(self, reason: str) -> None:
        super().__init__(None, reason)

    def __str__(self) -> str:
        return self.strerror or ""


def write_problem(directory: Path) -> str:
    """Create the directory if it is missing; return why it is not writable, or an empty text."""
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        with TemporaryFile(dir=directory):
            return ""
    except OSError as error:
        return f"{directory} is not writable: {error.strerror}"
