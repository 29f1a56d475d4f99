"""Whether folders can be written to."""

from pathlib import Path
from tempfile import TemporaryFile


def why_not_writable(directory: Path) -> str:
    """Make the folder where it is not there; say why it cannot be written to, if it cannot."""
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        with TemporaryFile(dir=directory):
            return ""
    except OSError as error:
        return f"{directory} cannot be written to: {error.strerror}"
