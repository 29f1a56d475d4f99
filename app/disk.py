"""Whether folders can be written to, and failures of disks."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryFile


class DiskUnavailable(OSError):
    """A disk is full, read-only or gone; what failed may succeed later."""


@contextmanager
def translate_disk_errors() -> Iterator[None]:
    """Raise every failure of the disk in the context as `DiskUnavailable`."""
    try:
        yield
    except DiskUnavailable:
        raise
    except OSError as error:
        raise DiskUnavailable(error.errno, error.strerror) from error


def write_problem(directory: Path) -> str:
    """Make the folder where it is not there; say why it cannot be written to, if it cannot."""
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        with TemporaryFile(dir=directory):
            return ""
    except OSError as error:
        return f"{directory} cannot be written to: {error.strerror}"
