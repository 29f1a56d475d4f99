"""The outcomes of a job: a summary, a request to run again later, or a permanent error.

Any other exception is a failed attempt, which is retried.
"""

from collections import Counter
from dataclasses import dataclass, field
from datetime import timedelta

_MAX_LISTED_FAILURES = 20


class RetryAfter(Exception):
    """The job asks to be run again after a delay; nothing failed."""

    def __init__(self, delay: timedelta, reason: str = "") -> None:
        prefix = f"{reason}; " if reason else ""
        super().__init__(f"{prefix}to run again in {delay.total_seconds():.0f} s")
        self.delay = delay
        self.reason = reason


class PermanentError(Exception):
    """The job cannot succeed; it is not retried."""


@dataclass
class JobSummary:
    """The counts of a run, notes for an operator, and one line per failed item."""

    counts: Counter[str] = field(default_factory=Counter)
    notes: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    def format_counts(self) -> str:
        """Return the counts in one line, such as `issued: 3, opened: 12`."""
        return ", ".join(f"{name}: {number}" for name, number in self.counts.items()) or "nothing"

    def format_failures(self) -> str:
        """Return the number of failures and the first of them in one line; empty without any."""
        if not self.failures:
            return ""
        more = len(self.failures) - _MAX_LISTED_FAILURES
        lines = self.failures[:_MAX_LISTED_FAILURES] + ([f"and {more} more"] if more > 0 else [])
        return f"{len(self.failures)} failed: " + "; ".join(lines)
