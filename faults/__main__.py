"""The commands `run`, `cases` and `report` of the fault suite."""

import asyncio
import signal
from pathlib import Path
from time import monotonic
from typing import Annotated

import typer

from app.local.embedded.server import ServerError
from benchmarks.builds import ROOT
from benchmarks.console import progress
from benchmarks.machine import machine
from faults import report as reporting
from faults.case import Case
from faults.case_runner import run_case
from faults.cases import all_cases
from faults.results import CaseResult, SuiteResult

_RESULT = ROOT / "var" / "faults" / "result.json"

cli = typer.Typer(
    help="Cause faults under load and count lost changes; see docs/reliability.md.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


@cli.command()
def run(
    *,
    case: Annotated[list[str] | None, typer.Option(help="Only this case; may be repeated.")] = None,
    quick: Annotated[
        bool,
        typer.Option(
            "--quick", help="Run only a few cases, without the delays of mails; save nothing."
        ),
    ] = False,
    output: Annotated[Path, typer.Option(help="The file for the result.")] = _RESULT,
) -> None:
    """Run the cases and print a table. Exits with 1 if anything was lost, wrong or doubled.

    The result file keeps the results of other cases from earlier runs.
    """
    known = all_cases()
    names = [one.name for one in known]
    unknown = sorted(set(case or ()) - set(names))
    if unknown:
        progress(f"There is no case {unknown[0]}; there are {', '.join(names)}.")
        raise typer.Exit(2)
    selected = [one for one in known if one.quick or not quick]
    if case:
        selected = [one for one in known if one.name in case]
    outcomes: list[CaseResult] = []
    on = machine(_postgresql())
    try:
        for one in selected:
            outcomes.append(_run(one, patient=not quick))
            if not quick:  # after each case, so that an interrupted run keeps its results
                older = SuiteResult.load(output).outcomes if output.exists() else []
                SuiteResult(on, outcomes).with_older(older, names).save(output)
    except ServerError as error:
        progress(f"The suite cannot continue. {error}")
        raise typer.Exit(2) from None
    except (KeyboardInterrupt, asyncio.CancelledError):
        progress("Stopped.")
        raise typer.Exit(130) from None
    reporting.print_results(outcomes)
    raise typer.Exit(0 if all(outcome.findings.clean for outcome in outcomes) else 1)


@cli.command()
def cases() -> None:
    """List the cases."""
    for one in all_cases():
        typer.echo(f"{one.name:24} {one.title}{' (quick)' if one.quick else ''}")


@cli.command()
def report(
    result: Annotated[Path, typer.Argument(help="The result file of `run`.")] = _RESULT,
    document: Annotated[Path, typer.Option(help="The document with the table.")] = ROOT
    / "docs"
    / "reliability.md",
) -> None:
    """Write the table of a result into the documentation."""
    reporting.write_table(SuiteResult.load(result), document)


def _run(case: Case, *, patient: bool) -> CaseResult:
    progress(f"{case.name}: {case.title} …")
    begun = monotonic()
    outcome = asyncio.run(run_case(case, patient=patient))
    status = outcome.missing or ("clean" if outcome.findings.clean else "NOT CLEAN")
    progress(f"  {status}, {monotonic() - begun:.0f} s")
    return outcome


def _postgresql() -> str:
    from app.local.embedded.binaries import find_postgresql

    return str(find_postgresql(None, None).major)


def _end(*_: object) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, _end)
    cli(prog_name="python -m faults")
