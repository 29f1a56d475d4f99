"""`report`: write the invoices of a month to a file."""

import os
import sys
from pathlib import Path
from typing import Annotated

import typer
from sqlalchemy.exc import SQLAlchemyError

from app import clock
from app.billing.periods import Period
from app.cli.context import fail, load_settings
from app.cli.database import with_database
from app.cli.exit_codes import FAILED, MISUSED
from app.cli.months import parse_month
from app.cli.output import open_output
from app.database.engine import Database
from app.logging import error_message
from app.progress import Progress
from app.reports.queries.report_rows import ReportRows
from app.reports.rendering.columns import ReportFormat
from app.reports.rendering.report_file import FileFormat, Report, write_report

cli = typer.Typer()


@cli.command()
def report(
    month: Annotated[
        Period | None,
        typer.Option(
            parser=parse_month,
            metavar="YYYY-MM",
            help="The month of the invoices. Default: the month before the running one.",
        ),
    ] = None,
    format: Annotated[  # noqa: A002 - the option's name
        FileFormat, typer.Option(help="The format of the file.")
    ] = FileFormat.CSV,
    rows: Annotated[
        ReportRows,
        typer.Option(
            help="Whether a row is an item of an invoice, or a customer with its invoice."
        ),
    ] = ReportRows.ITEMS,
    output: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--output",
            help="The file to write, readable only by you. An existing file is replaced once the"
            " new one is complete. Default: standard output.",
        ),
    ] = None,
) -> None:
    """Write the invoices of a month, as of one moment. docs/reports.md describes the columns."""
    settings = load_settings()
    period = month or Period.containing(clock.today()).shifted(-1)
    contents = Report(period, rows, format)
    report_format = ReportFormat(settings.currency, settings.finalization_grace_hours > 0)
    try:
        with open_output(output) as file:
            is_terminal = file.isatty()
            if is_terminal and format is FileFormat.XLSX:
                fail("A terminal cannot show XLSX: give a file with -o.", code=MISUSED)

            async def run(database: Database, progress: Progress) -> int:
                return await write_report(database, contents, report_format, file, progress)

            # The lines on a terminal show the progress.
            number = with_database("report", run, hidden=is_terminal)
            file.flush()
    except BrokenPipeError:  # the reader of the pipe has ended
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(FAILED) from None
    except OSError as error:
        fail(f"The report cannot be written: {error}.", code=MISUSED)
    except SQLAlchemyError as error:
        fail(f"The report failed: {error_message(error)}.")
    unit = "row" if number == 1 else "rows"
    typer.echo(f"{number:,} {unit} of {period.year:04}-{period.month:02}.", err=True)
