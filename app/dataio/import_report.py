"""The result of an import: counts of records by kind, and the rejected records."""

from dataclasses import dataclass, field
from typing import Final
from uuid import UUID

MAX_LISTED_REJECTIONS: Final = 100
"""A report lists this many rejected records and only counts the others."""


@dataclass(frozen=True)
class RejectedRecord:
    """A record that was not imported, and the reason."""

    line: int
    """The line of the file, from 1; the number of the record if the source has no lines."""
    reason: str
    kind: str | None = None
    uuid: UUID | None = None

    def __str__(self) -> str:
        record = f" ({self.kind} {self.uuid})" if self.kind else ""
        return f"line {self.line}{record}: {self.reason}"


@dataclass
class RecordCounts:
    """The numbers of records of one kind that created, updated or did not change a row."""

    created: int = 0
    updated: int = 0
    unchanged: int = 0


@dataclass
class ImportReport:
    """The result of one import."""

    counts: dict[str, RecordCounts] = field(default_factory=dict)
    """By kind. Only the kinds that occurred."""
    rejected: list[RejectedRecord] = field(default_factory=list)
    """The first `MAX_LISTED_REJECTIONS` rejected records."""
    rejected_count: int = 0

    @property
    def created(self) -> int:
        """The number of records that created a row."""
        return sum(counts.created for counts in self.counts.values())

    def counts_for(self, kind: str) -> RecordCounts:
        """Return the counts of a kind, for the caller to add to."""
        return self.counts.setdefault(kind, RecordCounts())

    def reject(self, record: RejectedRecord) -> None:
        """Add a rejected record."""
        self.rejected_count += 1
        if len(self.rejected) < MAX_LISTED_REJECTIONS:
            self.rejected.append(record)


class RecordsRejected(Exception):
    """Records were rejected, and the whole import was rolled back."""

    def __init__(self, report: ImportReport) -> None:
        super().__init__(f"rejected records: {report.rejected_count}")
        self.report = report


class ImportRunning(Exception):
    """Another import is running on this database."""
