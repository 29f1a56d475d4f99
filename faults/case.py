"""What a case is: something that breaks, and how."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from faults.load import LoadGenerator
from faults.stack import Layout, Stack


def no_requirements() -> str:
    """Return what a case that needs nothing lacks."""
    return ""


@dataclass(frozen=True)
class Case:
    """A fault under load, which `run` causes and ends.

    `run` is called with everything started and the ground laid. It keeps the load running for as
    long as it wants (`async with load.running()`), and calls `load.recovered()` when the fault is
    over. All that was answered and done is compared once it returns.
    """

    name: str
    """For the command line: words with hyphens."""
    title: str
    """For the table: what is broken, and how."""
    run: Callable[[Stack, LoadGenerator], Awaitable[None]]
    seconds: float = 60
    """Within which `run` must be done, or the case has failed."""
    quick: bool = False
    """Whether it is part of the shortened form."""
    needs: Callable[[], str] = no_requirements
    """Returns what is missing on this machine; empty where all is there."""
    layout: Layout = field(default_factory=Layout)
    breaks_connections: bool = False
    """Whether connections of clients may break: a process of the API dies."""
