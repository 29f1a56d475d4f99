"""Progress messages on the terminal."""

import sys

from rich.console import Console

console = Console(stderr=True, highlight=False)


def progress(line: str) -> None:
    """Print a progress message."""
    console.print(line, markup=False, soft_wrap=True)
    sys.stderr.flush()


class Unusable(Exception):
    """The benchmark cannot run or continue; the message says why."""
