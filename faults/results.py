"""What cases came to, and how it is kept."""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

from faults.findings import Findings


@dataclass
class CaseResult:
    """What a case came to."""

    name: str
    title: str
    findings: Findings = field(default_factory=Findings)
    recovery: float | None = None
    """Seconds from the end of the fault until all requests went well again."""
    backlog: float | None = None
    """Seconds from the end of the fault until every mail was out; None where it was hurried."""
    missing: str = ""
    """Why it could not be run here."""


@dataclass
class SuiteResult:
    """What a run came to, and what it ran on."""

    machine: dict[str, Any]
    outcomes: list[CaseResult]

    def with_older(self, older: Iterable[CaseResult], order: list[str]) -> Self:
        """Add what an earlier run found of other cases."""
        known = {outcome.name: outcome for outcome in (*older, *self.outcomes)}
        outcomes = [known[name] for name in order if name in known]
        return type(self)(self.machine, outcomes)

    def save(self, path: Path) -> None:
        """Write it as JSON."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(asdict(self), indent=1) + "\n")

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read what `save` has written."""
        value = json.loads(path.read_text())
        outcomes = [
            CaseResult(**one | {"findings": Findings(**one["findings"])})
            for one in value["outcomes"]
        ]
        return cls(value["machine"], outcomes)
