"""The command `import` for JSON Lines and for a Waldur: import, progress and report."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import typer
from sqlalchemy.exc import SQLAlchemyError

from app.cli.context import fail, load_settings
from app.cli.database import with_database
from app.database.engine import Database
from app.database.errors import DatabaseUnavailable
from app.dataio.import_report import (
    MAX_LISTED_REJECTIONS,
    ImportReport,
    ImportRunning,
    RecordsRejected,
)
from app.dataio.jsonl.importer import import_file
from app.dataio.jsonl.reader import STDIN, UnreadableFile
from app.dataio.waldur.import_report import WaldurImportReport
from app.dataio.waldur.importer import import_waldur_database
from app.dataio.waldur.invoice_importer import IncompleteInvoice
from app.dataio.waldur.source_database import WaldurUnreadable
from app.logging import error_message
from app.progress import Progress

_GC_THRESHOLD: Final = 200_000
"""More objects than two batches of records have. Records have no reference cycles, and a fifth of
the time of an import was spent on searching them for cycles."""


def import_jsonl(source: str, *, keep_good: bool) -> None:
    """Import a JSON Lines file, or standard input for `-`, and print the report."""
    settings = load_settings()

    async def run(database: Database, progress: Progress) -> ImportReport:
        progress.begin("bytes", None if source == STDIN else _file_size(source))
        return await import_file(
            database, settings, source, keep_good=keep_good, progress=progress.reach
        )

    with report_import_failures(source), rare_garbage_collection():
        report = with_database(f"import {Path(source).name}", run, settings=settings)
    _print_counts(source, report)
    if report.rejected_count:
        _print_rejected(report)
        fail(f"{source}: {_rejected_lines(report)} rejected; the others were imported.")


def import_waldur(url: str) -> None:
    """Import the Waldur database at `url`, or its changes, and print the report."""
    settings = load_settings()

    async def run(database: Database, progress: Progress) -> WaldurImportReport:
        progress.begin("rows")
        return await import_waldur_database(
            url, database, settings, lambda _kind: progress.advance()
        )

    try:
        with report_import_failures("The import from the Waldur failed"):
            report = with_database("import from a Waldur", run, settings=settings)
    except (WaldurUnreadable, IncompleteInvoice) as error:
        fail(str(error))
    for line in report.lines():
        typer.echo(line)


@contextmanager
def rare_garbage_collection() -> Iterator[None]:
    """Run the cyclic garbage collector rarely; reference counts free the records."""
    before = gc.get_threshold()
    gc.set_threshold(_GC_THRESHOLD, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)


def _file_size(source: str) -> int | None:
    path = Path(source)
    return path.stat().st_size if path.is_file() else None


def _print_counts(source: str, report: ImportReport) -> None:
    typer.echo(f"{source}:")
    if not report.counts:
        typer.echo("  no records")
    width = max((len(kind) for kind in report.counts), default=0)
    for kind, counts in report.counts.items():
        typer.echo(
            f"  {kind.replace('_', ' '):<{width}} {counts.created:>9,} new"
            f" {counts.updated:>9,} changed {counts.unchanged:>9,} unchanged"
        )


def _print_rejected(report: ImportReport) -> None:
    for rejected in report.rejected:
        typer.echo(str(rejected), err=True)
    unlisted = report.rejected_count - len(report.rejected)
    if unlisted:
        typer.echo(f"and {unlisted} more", err=True)


def _rejected_lines(report: ImportReport) -> str:
    count = report.rejected_count
    return "1 line was" if count == 1 else f"{count} lines were"


@contextmanager
def report_import_failures(source: str) -> Iterator[None]:
    """End the command with messages that an operator can act on; nothing was imported."""
    try:
        yield
    except RecordsRejected as error:
        report = error.report
        _print_rejected(report)
        ended = ", and the import ended there" * (report.rejected_count >= MAX_LISTED_REJECTIONS)
        fail(f"{source}: {_rejected_lines(report)} rejected{ended}; nothing was imported.")
    except (UnreadableFile, ImportRunning) as error:
        fail(f"{str(error).rstrip('.')}.")
    except DatabaseUnavailable as error:
        fail(f"{source}: nothing was imported: the database is unavailable: {error}.")
    except (OSError, SQLAlchemyError) as error:
        fail(f"{source}: nothing was imported: {error_message(error)}.")
