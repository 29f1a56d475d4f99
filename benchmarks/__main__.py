"""The commands: `run` measures, `report` writes a result into docs/performance.md."""

import asyncio
import signal
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from app.local.embedded.server import ServerError
from benchmarks import report as reporting
from benchmarks.builds import ROOT
from benchmarks.console import Unusable, console, progress
from benchmarks.figures import figures
from benchmarks.measuring import Pace
from benchmarks.program import Options, run_benchmark
from benchmarks.results import Phase, Result
from benchmarks.wrk import require_wrk

_PLACE = ROOT / "var" / "bench"
_SIZES = "10000,100000,1000000"
_QUICK_SLACK = 0.85
"""The part of a target that suffices in the quick mode, whose rounds are short."""

cli = typer.Typer(
    help="Measure the service beside its references; docs/performance.md explains the result.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


@cli.command()
def run(
    *,
    quick: Annotated[
        bool,
        typer.Option(
            "--quick", help="Only the central figures; the exit code is 1 if one misses its target."
        ),
    ] = False,
    fresh: Annotated[bool, typer.Option("--fresh", help="Create the databases again.")] = False,
    large: Annotated[
        bool,
        typer.Option("--large", help="Import a bill of 10,000,000 rows, too: 2 GB of disk."),
    ] = False,
    sizes: Annotated[
        str | None, typer.Option(help=f"Invoices of each database; by default {_SIZES}.")
    ] = None,
    rounds: Annotated[int | None, typer.Option(min=1, help="By default 5, or 3.")] = None,
    seconds: Annotated[
        int | None, typer.Option(min=1, help="Of each run of a round; by default 2, or 1.")
    ] = None,
    only: Annotated[
        list[Phase] | None, typer.Option(help="Measure only this; may be repeated.")
    ] = None,
    beside: Annotated[
        str,
        typer.Option(
            metavar="COMMIT",
            help="Measure the central figures and cold reads beside the build of this commit.",
        ),
    ] = "",
    output: Annotated[Path, typer.Option(help="The file for the result.")] = _PLACE / "result.json",
) -> None:
    """Measure, and show the table of ratios."""
    if beside:
        everything = [
            Phase.BASELINE, Phase.COLD, Phase.DELIVERIES, Phase.FOCUS, Phase.CLOSE
        ]  # fmt: skip
    elif quick:
        everything = [Phase.REFERENCES, Phase.FOCUS, Phase.REPLICA]
    else:
        everything = [phase for phase in Phase if phase is not Phase.BASELINE]
    wanted = (sizes or ("10000" if quick else _SIZES)).split(",")
    options = Options(
        sizes=sorted(int(size) for size in wanted),
        pace=Pace(
            rounds or (3 if quick and not beside else 5),
            seconds or (1 if quick else 2),
            longest=5 if quick else 6,
        ),
        phases=[phase for phase in everything if not only or phase in only],
        beside=beside,
        quick=quick,
        large=large,
        fresh=fresh,
        place=_PLACE,
    )
    started = datetime.now(UTC)
    try:
        require_wrk()
        result = run_benchmark(options)
    except (Unusable, ServerError) as error:
        progress(f"The benchmark ends here. {error}")
        raise typer.Exit(2) from None
    except (KeyboardInterrupt, asyncio.CancelledError):
        progress("Stopped.")
        raise typer.Exit(130) from None
    result.save(output)
    found = figures(result)
    reporting.show(result, found)
    progress(f"{(datetime.now(UTC) - started).total_seconds():.0f} s; the result is {output}.")
    if quick or beside:
        slack = 1.0 if beside else _QUICK_SLACK
        short = [figure for figure in found if figure.met(slack) is False]
        for figure in short:
            console.print(f"Below target: {figure.name}", style="bold", markup=False)
        raise typer.Exit(1 if short else 0)


@cli.command()
def report(
    result: Annotated[Path, typer.Argument(help="A result of `run`.")],
    document: Annotated[
        Path, typer.Option(help="The document with the marks between which the table goes.")
    ] = ROOT / "docs" / "performance.md",
) -> None:
    """Write the table and the plots of a result into the documentation."""
    measured = Result.load(result)
    reporting.write(measured, figures(measured), document)


def _end(*_: object) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, _end)
    cli(prog_name="python -m benchmarks")
