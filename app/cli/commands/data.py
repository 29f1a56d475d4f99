"""The commands `import` and `export`."""

import os
import sys
from contextlib import aclosing
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from sqlalchemy.exc import SQLAlchemyError

from app.billing.currencies import Currency
from app.cli.context import fail, load_settings
from app.cli.database import with_database
from app.cli.exit_codes import FAILED, MISUSED
from app.cli.import_focus import import_focus, parse_tax_percent
from app.cli.import_formats import import_jsonl, import_waldur
from app.cli.output import open_output
from app.database.engine import Database
from app.dataio.focus.options import FocusImportOptions
from app.dataio.jsonl.exporter import ProofUnreadable, export_lines
from app.dataio.jsonl.unimportable_records import find_unimportable_records
from app.logging import error_message
from app.progress import Progress

cli = typer.Typer()


class Format(StrEnum):
    """The formats of `import`."""

    JSONL = "jsonl"
    WALDUR = "waldur"
    FOCUS = "focus"


@cli.command("import")
def import_(  # noqa: PLR0913, PLR0917 - one for each option
    sources: Annotated[
        list[str],
        typer.Argument(
            metavar="FILE...",
            help="The files to import, in this order. - is standard input; a name that ends in .gz"
            " is decompressed. For focus, several files are one bill. For waldur, the address of"
            " its database, postgresql://…",
        ),
    ],
    format: Annotated[  # noqa: A002 - the option's name
        Format, typer.Option(help="The format of the source.")
    ] = Format.JSONL,
    keep_good: Annotated[
        bool,
        typer.Option(
            "--keep-good",
            help="Import the valid lines of a file that has invalid ones. Without it, nothing of"
            " such a file is imported. For focus: import the invoices that can be changed.",
        ),
    ] = False,
    tax: Annotated[
        str | None, typer.Option(metavar="PERCENT", help="For focus: the tax of the invoices.")
    ] = None,
    currency: Annotated[
        str | None,
        typer.Option(metavar="CODE", help="For focus: import only the charges in this currency."),
    ] = None,
    drop_tax_rows: Annotated[
        bool,
        typer.Option(
            "--drop-tax-rows",
            help="For focus: skip the provider's taxes, for example to use --tax instead.",
        ),
    ] = False,
    allow_equal_rows: Annotated[
        bool,
        typer.Option(
            "--allow-equal-rows",
            help="For focus: import files that have equal rows, as parts of one export may.",
        ),
    ] = False,
    replace: Annotated[
        bool,
        typer.Option(
            "--replace",
            help="For focus: remove the charges of earlier imports that are not in the files.",
        ),
    ] = False,
    credit: Annotated[
        bool,
        typer.Option(
            "--credit",
            help="For focus: bill the difference where the bill of an issued invoice was restated,"
            " by a credit note or on the running month's invoice.",
        ),
    ] = False,
    issue: Annotated[
        bool, typer.Option("--issue", help="For focus: issue the invoices of past months.")
    ] = False,
    notify: Annotated[
        bool,
        typer.Option("--notify", help="With --issue: send notifications if NOTIFY_ON_ISSUE is on."),
    ] = False,
) -> None:
    """Import data. An existing record, found by its UUID, is updated if it differs.

    Exits with 1 if a line is invalid or a source cannot be read.
    """
    focus_options = FocusImportOptions(
        tax_percent=None if tax is None else parse_tax_percent(tax),
        currency=currency.upper() if currency else None,
        issue=issue,
        notify=notify,
        drop_tax_rows=drop_tax_rows,
        allow_equal_rows=allow_equal_rows,
        replace=replace,
        credit=credit,
        keep_good=keep_good,
    )
    if format is Format.FOCUS:
        import_focus(sources, focus_options)
        return
    if focus_options != FocusImportOptions(keep_good=keep_good):
        fail(
            "--tax, --drop-tax-rows, --currency, --allow-equal-rows, --replace, --credit,"
            " --issue and --notify require --format focus.",
            code=MISUSED,
        )
    if format is Format.WALDUR:
        if len(sources) > 1 or keep_good:
            fail("--format waldur takes one address and no --keep-good.", code=MISUSED)
        import_waldur(sources[0])
        return
    for source in sources:
        import_jsonl(source, keep_good=keep_good)


@cli.command()
def export(
    output: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--output",
            help="The file to write, readable only by you, and compressed if its name ends in .gz."
            " An existing file is replaced once the new one is complete. Default: standard output.",
        ),
    ] = None,
    proofs: Annotated[
        bool, typer.Option("--proofs/--no-proofs", help="Whether to export proofs of payment.")
    ] = True,
) -> None:
    """Export everything as JSON Lines, as of one moment."""
    settings = load_settings()
    try:
        with open_output(output) as file:

            async def run(database: Database, progress: Progress) -> None:
                lines = export_lines(database, settings, proofs=proofs, progress=progress)
                async with aclosing(lines):
                    async for piece in lines:
                        file.write(piece)
                file.flush()
                progress.begin("checks")
                await _print_unimportable(database, settings.currency)

            # The lines on a terminal show the progress.
            with_database("export", run, hidden=file.isatty())
    except BrokenPipeError:  # the reader of the pipe has ended
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(FAILED) from None
    except ProofUnreadable as error:
        fail(str(error), "--no-proofs exports everything else.")
    except OSError as error:
        fail(f"The export cannot be written: {error}.", code=MISUSED)
    except SQLAlchemyError as error:
        fail(f"The export failed: {error_message(error)}.")


async def _print_unimportable(database: Database, currency: Currency) -> None:
    """Print why an import would reject records of the export."""
    async with database.snapshot() as connection:
        found = find_unimportable_records(connection, currency)
        reasons = [reason async for reason in found]
    if reasons:
        typer.echo("An import would reject some records of this export:", err=True)
    for reason in reasons:
        typer.echo(f"  {reason}", err=True)
