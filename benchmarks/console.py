"""What a person sees while the benchmark runs."""

import sys

from rich.console import Console

console = Console(stderr=True, highlight=False)


def progress(line: str) -> None:
    """Tell how far the run is."""
    console.print(line, markup=False, soft_wrap=True)
    sys.stderr.flush()


class Unusable(Exception):
    """The benchmark cannot run or go on; the message is for a person."""
