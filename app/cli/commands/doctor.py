"""`doctor`: whether everything that the service needs is well."""

import asyncio
import json
import os
import sys
from typing import Annotated

import typer

from app.cli.exit_codes import FAILED
from app.doctor.check_result import CheckResult, Level
from app.doctor.configuration import read
from app.doctor.runner import run_checks


def register(cli: typer.Typer) -> None:
    """Add the command."""
    cli.command()(doctor)


def doctor(
    processes: Annotated[
        int, typer.Option(min=1, help="How many processes, APIs and workers, are to run.")
    ] = 2,
    as_json: Annotated[bool, typer.Option("--json", help="Write a JSON object.")] = False,
) -> None:
    """Look at settings, servers, disk and backlog; tell what is well, or wrong and what to do.

    Sends nothing, and changes nothing but for folders that are missing. Ends with code 1 where
    something is wrong.
    """
    examination = asyncio.run(run_checks(read(), processes))
    lines = [(name, each) for name, found in examination.findings.items() for each in found]
    is_wrong = any(finding.level is Level.WRONG for _, finding in lines)
    if as_json:
        told = [
            {"check": name, "level": each.level, "found": each.found, "advice": each.advice}
            for name, each in lines
        ]
        typer.echo(
            json.dumps({"well": not is_wrong, "findings": told}, ensure_ascii=False, indent=2)
        )
    else:
        for name, finding in lines:
            typer.echo(_line(name, finding))
    code = FAILED if is_wrong else 0
    if examination.hung:  # what hangs is not waited for
        sys.stdout.flush()
        os._exit(code)
    raise typer.Exit(code)


def _line(name: str, finding: CheckResult) -> str:
    told = f"{finding.level:8} {name:12} {finding.found.removesuffix('.')}."
    return f"{told} {finding.advice}" if finding.advice else told
