"""What an import did, and what was wrong with it."""

from dataclasses import dataclass, field
from uuid import UUID

FAULTS_TOLD = 100
"""So many faults are told of; the rest is only counted."""


@dataclass(frozen=True)
class Fault:
    """A record that could not be taken, and why."""

    line: int
    """Of the file, from 1; for a source without lines, the number of the record."""
    reason: str
    kind: str | None = None
    uuid: UUID | None = None

    def __str__(self) -> str:
        what = f" ({self.kind} {self.uuid})" if self.kind else ""
        return f"line {self.line}{what}: {self.reason}"


@dataclass
class Counts:
    """How many records of one kind were new, changed something, or changed nothing."""

    created: int = 0
    updated: int = 0
    unchanged: int = 0


@dataclass
class Report:
    """What an import did."""

    counts: dict[str, Counts] = field(default_factory=dict)
    """By kind, only those that occurred."""
    faults: list[Fault] = field(default_factory=list)
    """The first `FAULTS_TOLD`."""
    fault_count: int = 0

    def of(self, kind: str) -> Counts:
        """Return the counts of a kind, to be added to."""
        return self.counts.setdefault(kind, Counts())

    def refuse(self, fault: Fault) -> None:
        """Add a fault."""
        self.fault_count += 1
        if len(self.faults) < FAULTS_TOLD:
            self.faults.append(fault)


class BadRecords(Exception):
    """Records were wrong, and nothing of the import is kept."""

    def __init__(self, report: Report) -> None:
        super().__init__(f"{report.fault_count} wrong records")
        self.report = report


class ImportRunning(Exception):
    """Another import is running on this database."""
