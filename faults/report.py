"""The results as a table for the terminal and for docs/reliability.md."""

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.report import markdown_table, replaced
from faults.results import CaseResult, SuiteResult

_HEADINGS = (
    "fault", "lost", "wrong", "doubled", "requests", "errors meanwhile", "longest answer",
    "recovered after", "mails out after",
)  # fmt: skip
_ALIGNED = "lrrrrlrrr"
_MIN_WIDTH = 140
"""The width of the table in a narrower terminal."""


def print_results(outcomes: Sequence[CaseResult]) -> None:
    """Print the table and every discrepancy."""
    out = Console(highlight=False)
    out.width = max(out.width, _MIN_WIDTH)
    table = Table(box=None)
    for heading, side in zip(_HEADINGS, _ALIGNED, strict=True):
        table.add_column(heading, justify="right" if side == "r" else "left")
    for outcome in outcomes:
        style = "yellow" if outcome.missing else "green" if outcome.findings.clean else "red"
        table.add_row(*_row(outcome), style=style)
    out.print(table)
    for outcome in outcomes:
        for line in outcome.findings.lines():
            out.print(f"{outcome.name}: {line}", markup=False, soft_wrap=True)


def write_table(result: SuiteResult, document: Path) -> None:
    """Write the table between the marks of a document."""
    document.write_text(replaced(document.read_text(), markdown(result)))


def markdown(result: SuiteResult) -> str:
    """Return the table and a description of the machine as Markdown."""
    machine = result.machine
    about = (
        f"Run on {machine['day']} at commit `{machine['commit']}`: {machine['cores']} cores"
        f" ({machine['processor']}), Python {machine['python']}, PostgreSQL"
        f" {machine['postgresql']}. Times are in seconds."
    )
    return f"{about}\n\n{markdown_table(_HEADINGS, map(_row, result.outcomes), _ALIGNED)}"


def _row(outcome: CaseResult) -> tuple[str, ...]:
    if outcome.missing:
        return (outcome.title, *("",) * 4, f"not run: {outcome.missing}", "", "", "")
    findings = outcome.findings
    errors = ", ".join(f"{what}: {count:,}" for what, count in sorted(findings.errors.items()))
    remarks = [errors] if errors else []
    if findings.repeated_mails:
        remarks.append(f"{findings.repeated_mails} mails sent twice after a lost reply")
    if outcome.failover is not None:
        times = outcome.failover
        remarks.append(f"failover {times.seconds:.1f}, errors until {times.unavailable:.1f}")
    return (
        outcome.title,
        *(f"{len(found):,}" for found in (findings.lost, findings.wrong, findings.doubled)),
        f"{findings.requests:,}",
        "; ".join(remarks) or "none",
        f"{findings.longest:.1f}",
        _seconds(outcome.recovery),
        _seconds(outcome.backlog),
    )


def _seconds(value: float | None) -> str:
    return "" if value is None else f"{value:.1f}"
