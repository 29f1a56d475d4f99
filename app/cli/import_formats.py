"""What `import` does for each format: import, show progress, tell what came of it."""

import gc
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import typer
from sqlalchemy.exc import SQLAlchemyError

from app.cli.context import fail, load_settings
from app.cli.database import with_database
from app.cli.progress import progress_bar
from app.database.engine import Database
from app.database.errors import DatabaseUnavailable
from app.dataio.import_report import FAULTS_TOLD, BadRecords, ImportRunning, Report
from app.dataio.jsonl.reader import STDIN, UnreadableFile, load_file
from app.dataio.waldur import importer
from app.dataio.waldur.import_report import Report as WaldurReport
from app.dataio.waldur.invoices import HalfInvoice
from app.dataio.waldur.source import WaldurUnreadable
from app.logging import error_message

_OBJECTS_BETWEEN_COLLECTIONS: Final = 200_000
"""More than two batches of records hold; they have no cycles, and looking through them for some
takes a fifth of the time."""


def import_jsonl(source: str, *, keep_good: bool) -> None:
    """Import a file of JSON Lines, or standard input for `-`."""
    settings = load_settings()

    async def run(database: Database) -> Report:
        size = None if source == STDIN else _size(source)
        with progress_bar(source, size) as progress:
            return await load_file(
                database, settings, source, keep_good=keep_good, progress=progress
            )

    with failures_in_a_line(source), _few_collections():
        report = with_database(run, settings=settings)
    _tell(source, report)
    if report.fault_count:
        _tell_faults(report)
        fail(f"{source}: {_bad(report)} left out, the others are kept.")


def import_waldur(url: str) -> None:
    """Bring over, or catch up with, the Waldur whose database is at `url`."""
    settings = load_settings()

    async def run(database: Database) -> WaldurReport:
        read = Counter[str]()
        with progress_bar("Waldur", None) as progress:

            def count(kind: str) -> None:
                read[kind] += 1
                if progress is not None:
                    progress(read.total())

            return await importer.run(url, database, settings, count)

    try:
        with failures_in_a_line("The import from the Waldur failed"):
            report = with_database(run, settings=settings)
    except (WaldurUnreadable, HalfInvoice) as error:
        fail(str(error))
    for line in report.lines():
        typer.echo(line)


@contextmanager
def _few_collections() -> Iterator[None]:
    """Leave records that come and go to their reference counts."""
    before = gc.get_threshold()
    gc.set_threshold(_OBJECTS_BETWEEN_COLLECTIONS, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)


def _size(source: str) -> int | None:
    path = Path(source)
    return path.stat().st_size if path.is_file() else None


def _tell(source: str, report: Report) -> None:
    typer.echo(f"{source}:")
    if not report.counts:
        typer.echo("  no records")
    width = max((len(kind) for kind in report.counts), default=0)
    for kind, counts in report.counts.items():
        typer.echo(
            f"  {kind.replace('_', ' '):<{width}} {counts.created:>9,} new"
            f" {counts.updated:>9,} changed {counts.unchanged:>9,} unchanged"
        )


def _tell_faults(report: Report) -> None:
    for fault in report.faults:
        typer.echo(str(fault), err=True)
    more = report.fault_count - len(report.faults)
    if more:
        typer.echo(f"and {more} more", err=True)


def _bad(report: Report) -> str:
    count = report.fault_count
    return "1 bad line was" if count == 1 else f"{count} bad lines were"


@contextmanager
def failures_in_a_line(source: str) -> Iterator[None]:
    """End the command with what a person can act on; nothing of the source is kept."""
    try:
        yield
    except BadRecords as bad:
        _tell_faults(bad.report)
        stopped = ", and looking for more ended there" * (bad.report.fault_count >= FAULTS_TOLD)
        fail(f"{source}: {_bad(bad.report)} found{stopped}; nothing of it is kept.")
    except (UnreadableFile, ImportRunning) as error:
        fail(f"{str(error).rstrip('.')}.")
    except DatabaseUnavailable as error:
        fail(f"{source}: nothing of it is kept: the database cannot be used now: {error}.")
    except (OSError, SQLAlchemyError) as error:
        fail(f"{source}: nothing of it is kept: {error_message(error)}.")
