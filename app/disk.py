"""Errors of disks, and a check that a directory is writable."""

from pathlib import Path
from tempfile import TemporaryFile


class DiskUnavailable(OSError):
    """A disk is full, read-only or missing; the same call may succeed later."""


def write_problem(directory: Path) -> str:
    """Create the directory if it is missing; return why it is not writable, or an empty text."""
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        with TemporaryFile(dir=directory):
            return ""
    except OSError as error:
        return f"{directory} is not writable: {error.strerror}"
