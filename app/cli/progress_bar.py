"""The bar that a terminal shows."""

import sys
from collections.abc import Callable
from typing import Final

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn
from rich.table import Column

from app.progress import Part

# A long label, such as the name of a file, is cut before the status is.
_COLUMNS: Final = (
    TextColumn("{task.description}", markup=False, table_column=Column(max_width=20, no_wrap=True)),
    BarColumn(bar_width=None, table_column=Column(ratio=1)),
    TextColumn("{task.fields[status]}", markup=False, table_column=Column(no_wrap=True)),
)


def draw_bar(label: str, read: Callable[[], tuple[Part, str]], wait: Callable[[], bool]) -> None:
    """Draw a bar on standard error until the command ends, its end included, and then remove it.

    `read` returns the running part and its status; `wait` returns whether the command has ended.
    """
    bar = Progress(
        *_COLUMNS,
        console=Console(stderr=True),
        auto_refresh=False,
        transient=True,
        expand=True,
        # Lines of the command appear above the bar; those that a pipe reads stay out of it.
        redirect_stdout=sys.stdout.isatty(),
    )
    with bar:
        shown, task, has_ended = None, None, False
        while True:
            part, status = read()
            if task is None or part is not shown:
                if task is not None:
                    bar.remove_task(task)
                task = bar.add_task(label, total=part.total, status="")
                shown = part
            bar.update(task, completed=part.done, status=status, refresh=True)
            if has_ended:
                return
            has_ended = wait()
