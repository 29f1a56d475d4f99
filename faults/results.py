"""The results of cases, and their file."""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

from faults.failover import FailoverTimes
from faults.findings import Findings


@dataclass
class CaseResult:
    """The result of one case."""

    name: str
    title: str
    findings: Findings = field(default_factory=Findings)
    recovery: float | None = None
    """Seconds from the end of the fault until all requests succeeded again."""
    backlog: float | None = None
    """Seconds from the end of the fault until every mail was sent; None with `--quick`."""
    failover: FailoverTimes | None = None
    missing: str = ""
    """The requirement that this machine lacks."""


@dataclass
class SuiteResult:
    """The results of a run, and a description of the machine."""

    machine: dict[str, Any]
    outcomes: list[CaseResult]

    def with_older(self, older: Iterable[CaseResult], order: list[str]) -> Self:
        """Add the results of other cases from an earlier run."""
        known = {outcome.name: outcome for outcome in (*older, *self.outcomes)}
        outcomes = [known[name] for name in order if name in known]
        return type(self)(self.machine, outcomes)

    def save(self, path: Path) -> None:
        """Write the results as JSON."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(asdict(self), indent=1) + "\n")

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read a file written by `save`."""
        value = json.loads(path.read_text())
        outcomes = [
            CaseResult(
                **one
                | {
                    "findings": Findings(**one["findings"]),
                    "failover": (times := one.get("failover")) and FailoverTimes(**times),
                }
            )
            for one in value["outcomes"]
        ]
        return cls(value["machine"], outcomes)
