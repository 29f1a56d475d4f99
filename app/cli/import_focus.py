"""The command `import --format focus`: the files of one cost export become invoices."""

from decimal import Decimal, InvalidOperation
from pathlib import Path

import typer

from app.cli.context import fail, load_settings, one_line
from app.cli.database import with_database
from app.cli.exit_codes import MISUSED
from app.cli.import_formats import rare_garbage_collection, report_import_failures
from app.database.engine import Database
from app.dataio.focus.errors import FocusImportError
from app.dataio.focus.import_report import FocusImportReport
from app.dataio.focus.importer import import_focus_files
from app.dataio.focus.options import FocusImportOptions
from app.progress import Progress


def parse_tax_percent(text: str) -> Decimal:
    """Return the percentage of `--tax`, or end the command."""
    try:
        percent = Decimal(text)
        is_exact = percent == percent.quantize(Decimal("0.01"))
    except InvalidOperation:
        is_exact = False
    if not is_exact or not 0 <= percent < 100:
        fail(f"--tax must be a percentage from 0 to 99.99, not {text}.", code=MISUSED)
    return percent


def import_focus(sources: list[str], options: FocusImportOptions) -> None:
    """Import the files of one bill and print the report; fail if not all was imported."""
    if options.notify and not options.issue:
        fail("--notify requires --issue.", code=MISUSED)
    paths = [Path(source) for source in sources]
    if len({path.resolve() for path in paths}) < len(paths):
        fail("A file is named twice and would be billed twice.", code=MISUSED)
    name = sources[0] if len(sources) == 1 else f"{len(sources)} files"
    settings = load_settings()

    async def run(database: Database, progress: Progress) -> FocusImportReport:
        return await import_focus_files(database, settings, paths, options, progress)

    try:
        with report_import_failures(name), rare_garbage_collection():
            report = with_database(f"import {Path(name).name}", run, settings=settings)
    except FocusImportError as error:
        fail(f"{name}: nothing was imported.", *(f"  {one_line(line)}" for line in error.lines))
    typer.echo(f"{name}:")
    for line in report.lines():
        typer.echo(f"  {one_line(line)}")
    if report.refused or report.not_issued:
        fail(f"{name}: some invoices were not imported or not issued.")
