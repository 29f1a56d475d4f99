"""What a job may tell of its run, besides returning or raising an ordinary error."""

from collections import Counter
from dataclasses import dataclass, field
from datetime import timedelta

_SHOWN = 20


class RetryAfter(Exception):
    """The job is to run again after a pause; nothing failed."""

    def __init__(self, pause: timedelta, why: str = "") -> None:
        reason = f"{why}; " if why else ""
        super().__init__(f"{reason}to run again in {pause.total_seconds():.0f} s")
        self.pause = pause
        self.why = why


class PermanentError(Exception):
    """The job can never succeed; trying again is of no use."""


@dataclass
class JobSummary:
    """What a run did: how many of what, what a person should look at, and what failed."""

    counts: Counter[str] = field(default_factory=Counter)
    notes: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    @property
    def in_brief(self) -> str:
        """The counts in one line, such as `issued: 3, opened: 12`."""
        return ", ".join(f"{what}: {number}" for what, number in self.counts.items()) or "nothing"

    @property
    def trouble(self) -> str:
        """What failed, the first few in words; empty where nothing did."""
        if not self.failures:
            return ""
        more = len(self.failures) - _SHOWN
        shown = self.failures[:_SHOWN] + ([f"and {more} more"] if more > 0 else [])
        return f"{len(self.failures)} failed: " + "; ".join(shown)
