"""`doctor`: check everything that the service needs."""

import asyncio
import json
import os
import sys
from typing import Annotated

import typer

from app.cli.exit_codes import FAILED
from app.cli.progress import show_progress
from app.doctor.check_result import CheckResult, Level
from app.doctor.configuration import read
from app.doctor.runner import run_checks

cli = typer.Typer()


@cli.command()
def doctor(
    processes: Annotated[
        int, typer.Option(min=1, help="The planned number of processes, APIs and workers.")
    ] = 2,
    as_json: Annotated[bool, typer.Option("--json", help="Write a JSON object.")] = False,
) -> None:
    """Check settings, servers, disk and backlog; print each result, with advice if it is not well.

    Sends nothing. Changes nothing, except that it creates a missing MAIL_DIR. Exits with code 1 if
    anything is wrong.
    """
    with show_progress("doctor") as progress:
        outcome = asyncio.run(run_checks(read(), processes, progress))
    results = [(name, each) for name, several in outcome.by_check.items() for each in several]
    is_wrong = any(result.level is Level.WRONG for _, result in results)
    if as_json:
        findings = [
            {"check": name, "level": each.level, "found": each.message, "advice": each.advice}
            for name, each in results
        ]
        document = {"well": not is_wrong, "findings": findings}
        typer.echo(json.dumps(document, ensure_ascii=False, indent=2))
    else:
        for name, result in results:
            typer.echo(_line(name, result))
    code = FAILED if is_wrong else 0
    if outcome.timed_out:  # a check that hangs would keep the process from exiting
        sys.stdout.flush()
        os._exit(code)
    raise typer.Exit(code)


def _line(name: str, result: CheckResult) -> str:
    line = f"{result.level:8} {name:12} {result.message.removesuffix('.')}."
    return f"{line} {result.advice}" if result.advice else line
