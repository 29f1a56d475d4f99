"""`import` and `export`: data in and out."""

import gzip
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from enum import StrEnum
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Annotated, BinaryIO, cast

import typer
from sqlalchemy.exc import SQLAlchemyError

from app.billing.currencies import get_currency
from app.cli.context import fail, load_settings
from app.cli.database import with_database
from app.cli.exit_codes import FAILED, MISUSED
from app.cli.import_focus import import_focus
from app.cli.import_formats import import_jsonl, import_waldur
from app.cli.progress import progress_bar
from app.database.engine import Database
from app.dataio.export import ProofMissing
from app.dataio.export import export as export_records
from app.dataio.export_warnings import unimportable
from app.logging import error_message

_STEPS = 1000


class Format(StrEnum):
    """What can be imported."""

    JSONL = "jsonl"
    WALDUR = "waldur"
    FOCUS = "focus"


def register(cli: typer.Typer) -> None:
    """Add the commands."""
    cli.command("import")(import_)
    cli.command()(export)


def import_(  # noqa: PLR0913, PLR0917 - one for each option
    sources: Annotated[
        list[str],
        typer.Argument(
            metavar="FILE...",
            help="What to import, one after the other; - is standard input, and a name that ends"
            " in .gz is unpacked. Of focus, several files are one bill. For waldur the address of"
            " its database, postgresql://…",
        ),
    ],
    format: Annotated[  # noqa: A002 - the option's name
        Format, typer.Option(help="What the source is.")
    ] = Format.JSONL,
    keep_good: Annotated[
        bool,
        typer.Option(
            "--keep-good",
            help="Keep the good lines of a file that has bad ones; without it, such a file leaves"
            " nothing. Of focus: import the invoices that can still be changed.",
        ),
    ] = False,
    tax: Annotated[
        str | None, typer.Option(metavar="PERCENT", help="Of focus: the tax of the invoices.")
    ] = None,
    currency: Annotated[
        str | None,
        typer.Option(metavar="CODE", help="Of focus: import only charges in this currency."),
    ] = None,
    drop_tax_rows: Annotated[
        bool,
        typer.Option(
            "--drop-tax-rows", help="Of focus: leave out the provider's taxes, for --tax instead."
        ),
    ] = False,
    allow_equal_rows: Annotated[
        bool,
        typer.Option(
            "--allow-equal-rows",
            help="Of focus: import files that have rows in common, as parts of one export may.",
        ),
    ] = False,
    replace: Annotated[
        bool,
        typer.Option(
            "--replace",
            help="Of focus: take away what an earlier import brought and the files do not have.",
        ),
    ] = False,
    issue: Annotated[
        bool, typer.Option("--issue", help="Of focus: issue the invoices of past months.")
    ] = False,
    notify: Annotated[
        bool, typer.Option("--notify", help="With --issue: notify as NOTIFY_ON_ISSUE says.")
    ] = False,
) -> None:
    """Import data; what is there already, by UUID, is updated where it differs.

    Ends with 1 where a line was bad or a source could not be read.
    """
    if format is Format.FOCUS:
        import_focus(
            sources,
            tax=tax,
            currency=currency,
            issue=issue,
            notify=notify,
            keep_good=keep_good,
            drop_tax_rows=drop_tax_rows,
            allow_equal_rows=allow_equal_rows,
            replace=replace,
        )
        return
    if tax or currency or issue or notify or drop_tax_rows or allow_equal_rows or replace:
        fail(
            "--tax, --drop-tax-rows, --currency, --allow-equal-rows, --replace, --issue and"
            " --notify go with --format focus.",
            code=MISUSED,
        )
    if format is Format.WALDUR:
        if len(sources) > 1 or keep_good:
            fail("--format waldur takes one address, and no --keep-good.", code=MISUSED)
        import_waldur(sources[0])
        return
    for source in sources:
        import_jsonl(source, keep_good=keep_good)


def export(
    output: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--output",
            help="Where to write, readable by you alone; packed if the name ends in .gz. A file"
            " that is there is replaced once the new one is whole. By default standard output.",
        ),
    ] = None,
    proofs: Annotated[
        bool, typer.Option("--proofs/--no-proofs", help="Whether proofs of payment come along.")
    ] = True,
) -> None:
    """Export everything as JSON Lines, as it is at one moment."""
    settings = load_settings()
    try:
        with _opened(output) as file:

            async def run(database: Database) -> None:
                # Lines that go to a terminal show by themselves how far it is.
                with nullcontext() if file.isatty() else progress_bar("Export", _STEPS) as bar:
                    progress = None if bar is None else lambda part: bar(int(part * _STEPS))
                    async for piece in export_records(
                        database, settings, proofs=proofs, progress=progress
                    ):
                        file.write(piece)
                file.flush()
                async with database.snapshot() as connection:
                    refused = unimportable(connection, get_currency(settings.currency))
                    if reasons := [each async for each in refused]:
                        typer.echo("The import refuses some records of this export:", err=True)
                        for reason in reasons:
                            typer.echo(f"  {reason}", err=True)

            with_database(run)
    except BrokenPipeError:  # whoever read has what they wanted
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(FAILED) from None
    except ProofMissing as error:
        fail(str(error), "With --no-proofs everything else can be exported.")
    except OSError as error:
        fail(f"The export cannot be written: {error}.", code=MISUSED)
    except SQLAlchemyError as error:
        fail(f"The export failed: {error_message(error)}.")


@contextmanager
def _opened(output: Path | None) -> Iterator[BinaryIO]:
    """Open what is written to: a file beside the target, put in its place once it is whole."""
    if output is None or output == Path("-"):
        yield sys.stdout.buffer
        return
    with NamedTemporaryFile(dir=output.parent, prefix=f".{output.name}.", delete=False) as file:
        try:
            if output.name.endswith(".gz"):
                # Neither name nor time: the same data gives the same file.
                with gzip.GzipFile(filename="", fileobj=file, mode="wb", mtime=0) as packed:
                    yield cast("BinaryIO", packed)
            else:
                yield cast("BinaryIO", file)
            file.flush()
            os.fsync(file.fileno())
            Path(file.name).replace(output)
        except BaseException:
            Path(file.name).unlink(missing_ok=True)
            raise
