"""A case of the fault suite."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from faults.load import LoadGenerator
from faults.stack import Layout, Stack


def no_requirements() -> str:
    """Return that no requirement is missing."""
    return ""


@dataclass(frozen=True)
class Case:
    """A fault under load; `run` causes and ends it.

    `run` is called with a started stack and the data imported. It keeps the load running for as
    long as needed (`async with load.running()`), and calls `load.wait_for_recovery()` when the
    fault is over. All responses and stored data are compared after it returns.
    """

    name: str
    """The name on the command line, with hyphens."""
    title: str
    """The title in the table: the fault and its cause."""
    run: Callable[[Stack, LoadGenerator], Awaitable[None]]
    seconds: float = 60
    """The time limit of `run`."""
    quick: bool = False
    """Whether `--quick` runs it."""
    needs: Callable[[], str] = no_requirements
    """Returns the requirement that this machine lacks; empty if none."""
    layout: Layout = field(default_factory=Layout)
    credits_invoices: bool = False
    """Whether the load credits invoices, too, and the service sends mails of the credit notes."""
    breaks_connections: bool = False
    """Whether clients may lose connections, because a process of the API dies."""
