"""A progress bar on standard error, if that is a terminal."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Column


@contextmanager
def progress_bar(label: str, total: float | None) -> Iterator[Callable[[float], None] | None]:
    """Show the progress of a command; yield a function that takes the completed part of `total`.

    Without a `total` the bar only shows activity. Without a terminal this yields None.
    """
    if not sys.stderr.isatty():
        yield None
        return
    # A long label, such as the path of a file, is cut before the percentage is.
    columns = (
        TextColumn("{task.description}", markup=False, table_column=Column(max_width=30)),
        BarColumn(bar_width=20),
        TextColumn("{task.percentage:>3.0f} %", table_column=Column(no_wrap=True, min_width=5)),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(label, total=total)
        yield lambda done: progress.update(task, completed=done)
