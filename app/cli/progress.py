"""The progress of commands, on standard error.

A terminal shows a bar once a command has taken two seconds. Elsewhere a command writes one line a
minute. Standard output has none of it.
"""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event, Thread
from time import monotonic
from typing import Final, Protocol

from typer import echo

from app.progress import Part, Progress

BAR_AFTER: Final = 2.0
"""Seconds after which a terminal shows the bar."""
LINE_EVERY: Final = 60.0
"""Seconds between two lines, where no terminal is."""
_REDRAW_EVERY: Final = 0.1
_MEGABYTE: Final = 1_000_000
_WITHOUT_CURSOR: Final = ("dumb", "unknown")
"""Values of TERM of terminals that cannot move their cursor."""


class End(Protocol):
    """The end of a command, as `threading.Event` is."""

    def wait(self, timeout: float) -> bool:
        """Wait for it, for so many seconds; return whether it has come."""


@contextmanager
def show_progress(label: str, *, hidden: bool = False) -> Iterator[Progress]:
    """Show the progress that the block sets, until the block ends.

    A command that writes its lines to the terminal while it runs is `hidden`: a bar would be among
    them.
    """
    has_bar = sys.stderr.isatty() and os.environ.get("TERM", "").lower() not in _WITHOUT_CURSOR
    progress = Progress(is_watched=not (hidden and has_bar))
    if not progress.is_watched:
        yield progress
        return
    show = show_bar if has_bar else write_lines
    ended = Event()
    # A thread of its own: the work may keep the event loop, or one statement may take an hour.
    thread = Thread(target=show, args=(label, progress, ended), name="progress", daemon=True)
    thread.start()
    try:
        yield progress
    finally:
        ended.set()
        thread.join()


def show_bar(
    label: str, progress: Progress, ended: End, clock: Callable[[], float] = monotonic
) -> None:
    """Show a bar on the terminal, from two seconds after the start to the end of the command."""
    start = clock()
    if ended.wait(BAR_AFTER):
        return
    from app.cli.progress_bar import draw_bar  # noqa: PLC0415 - its import takes 0.1 s

    def read() -> tuple[Part, str]:
        part = progress.part
        return part, format_status(part, start, clock())

    draw_bar(label, read, lambda: ended.wait(_REDRAW_EVERY))


def write_lines(
    label: str, progress: Progress, ended: End, clock: Callable[[], float] = monotonic
) -> None:
    """Write a line each minute until the end of the command."""
    start = clock()
    while not ended.wait(LINE_EVERY):
        status = format_status(progress.part, start, clock())
        echo(f"{label}: {status}", err=True)


def format_status(part: Part, start: float, now: float) -> str:
    """Return how much is done, the rate, and the remaining time, or the elapsed if that is unknown.

    `start` and `now` are seconds of the monotonic clock.
    """
    taken = now - part.began
    rate = part.done / taken if taken > 0 else 0
    texts = []
    if part.total:
        # All is done once the command ends, not when the last row was read.
        texts.append(f"{min(int(part.done / part.total * 100), 99)} %")
    if part.unit:
        texts.append(_format_amount(part))
        if rate:
            texts.append(f"{_format_number(rate, part.unit)}/s")
    if part.total and rate:
        texts.append(f"{_format_time(max(part.total - part.done, 0) / rate)} left")
    else:
        texts.append(f"{_format_time(now - start)} elapsed")
    return ", ".join(texts)


def _format_amount(part: Part) -> str:
    done = _format_number(part.done, part.unit)
    if part.total is None:
        return f"{done} {part.unit}".removesuffix(" bytes")
    return f"{done} of {_format_number(part.total, part.unit)} {part.unit}".removesuffix(" bytes")


def _format_number(number: float, unit: str) -> str:
    if unit == "bytes":
        return f"{number / _MEGABYTE:,.1f} MB"
    return f"{number:,.0f}" if number >= 10 else f"{number:.2g}"


def _format_time(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
