"""How far long work has come: the work sets it, a command shows it."""

from dataclasses import dataclass, field
from time import monotonic
from typing import Final


@dataclass(slots=True)
class Part:
    """A part of the work: `done` of `total` units."""

    unit: str = ""
    """A plural, such as `rows`; empty if `done` is a fraction of a `total` of 1."""
    total: float | None = None
    """None if it is unknown."""
    done: float = 0
    began: float = field(default_factory=monotonic)
    """In seconds of the monotonic clock."""


class Progress:
    """The running part of long work. Another thread may read it at any time."""

    def __init__(self, *, is_watched: bool = True) -> None:
        self.is_watched = is_watched
        """Whether it is shown. A total that takes a statement is counted only then."""
        self.part = Part()

    def begin(self, unit: str, total: float | None = None) -> None:
        """Begin the next part of the work."""
        self.part = Part(unit, total)

    def advance(self, number: float = 1) -> None:
        """Add to the number of units that are done."""
        self.part.done += number

    def reach(self, done: float) -> None:
        """Set the number of units that are done."""
        self.part.done = done


UNWATCHED: Final = Progress(is_watched=False)
"""The progress of work without a display. No code reads it."""
