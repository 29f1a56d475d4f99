"""`job`: run one of the worker's jobs from the command line."""

from collections.abc import Mapping
from inspect import signature
from typing import Annotated, Any

import typer

from app.cli.context import fail, load_settings
from app.cli.database import with_database
from app.cli.exit_codes import MISUSED
from app.database.engine import Database
from app.jobs.registry import CLOSE_MONTH, build_registry
from app.jobs.runner import JobRun
from app.logging import configure_logging
from app.notifications.sending import Sender
from app.outbox.outcome import JobSummary, PermanentError, RetryAfter
from app.progress import Progress
from app.settings import Settings

cli = typer.Typer()


@cli.command()
def job(
    name: Annotated[str, typer.Argument(help="The job's name, or `list` for all of them.")],
    arguments: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME=VALUE]...", help="The job's arguments.")
    ] = None,
    include_imported: Annotated[
        bool, typer.Option(help="close_month: also issue imported invoices.")
    ] = False,
    notify_imported: Annotated[
        bool,
        typer.Option(help="close_month: with NOTIFY_ON_ISSUE, also notify their customers."),
    ] = False,
) -> None:
    """Run one of the worker's jobs now and print its result.

    Exits with code 1 if anything failed.
    """
    settings = load_settings()
    configure_logging(settings)
    jobs = build_registry(settings)
    if name == "list":
        for job_name, each in jobs.items():
            typer.echo(f"{job_name:18} {each.description}")
        return
    if name not in jobs:
        fail(f"There is no job {name}; there are {', '.join(jobs)}.", code=MISUSED)
    given: dict[str, Any] = _parse(arguments or [])
    flags = {"include_imported": include_imported, "notify_imported": notify_imported}
    if name == CLOSE_MONTH:
        given |= flags
    elif any(flags.values()):
        fail("--include-imported and --notify-imported apply only to close_month.", code=MISUSED)
    try:
        summary = _run(settings, name, given)
    except RetryAfter as retry:
        typer.echo(f"{name}: {retry}.")
    except PermanentError as error:
        fail(str(error))
    else:
        _print_summary(name, summary)


def _parse(arguments: list[str]) -> dict[str, str]:
    pairs = [argument.partition("=") for argument in arguments]
    if not all(equals for _, equals, _ in pairs):
        fail("Give each argument as NAME=VALUE, for example invoice=UUID.", code=MISUSED)
    return {name: value for name, _, value in pairs}


def _run(settings: Settings, name: str, arguments: Mapping[str, Any]) -> JobSummary | None:
    function = build_registry(settings)[name].function
    try:
        signature(function).bind(None, **arguments)
    except TypeError as error:
        fail(f"{name}: {error}.", code=MISUSED)

    async def run(database: Database, progress: Progress) -> JobSummary | None:
        async with Sender(database, settings) as sender:
            return await function(
                JobRun(database, settings, sender, progress=progress), **arguments
            )

    return with_database(f"job {name}", run, settings=settings)


def _print_summary(name: str, summary: JobSummary | None) -> None:
    if summary is None:
        typer.echo(f"{name}: done.")
        return
    typer.echo(f"{name}: {summary.format_counts()}.")
    for note in summary.notes:
        typer.echo(f"  {note}")
    if summary.failures:
        fail(*summary.failures, f"{len(summary.failures)} failed.")
