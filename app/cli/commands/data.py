"""`import` and `export`: data in and out."""

import gzip
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import TYPE_CHECKING, Annotated, BinaryIO, cast

import typer

from app.cli.progress import progress_bar
from app.cli.support import FAILED, MISUSED, fail, load_settings, with_database

if TYPE_CHECKING:
    from app.database.engine import Database
    from app.exchange.report import Report
    from app.settings import Settings


class Format(StrEnum):
    """What can be imported."""

    JSONL = "jsonl"


def register(cli: typer.Typer) -> None:
    """Add the commands."""
    cli.command("import")(import_)
    cli.command()(export)


def import_(
    sources: Annotated[
        list[str],
        typer.Argument(
            metavar="FILE...",
            help="What to import, one after the other; - is standard input, and a name that ends"
            " in .gz is unpacked.",
        ),
    ],
    format: Annotated[  # noqa: A002 - the option's name
        Format, typer.Option(help="What the files are.")
    ] = Format.JSONL,
    keep_good: Annotated[
        bool,
        typer.Option(
            "--keep-good",
            help="Keep the good lines of a file that has bad ones; without it, such a file leaves"
            " nothing.",
        ),
    ] = False,
) -> None:
    """Import data; what is there already, by UUID, is updated where it differs.

    Ends with 1 where a line was bad or a file could not be read.
    """
    settings = load_settings()
    for source in sources:
        with _failures_in_a_line(source):
            _import_jsonl(source, settings, keep_good=keep_good)


def _import_jsonl(source: str, settings: "Settings", *, keep_good: bool) -> None:
    from app.exchange.jsonl import STDIN, load_file  # noqa: PLC0415 - keeps --help fast

    size = None
    if source != STDIN and Path(source).is_file():
        size = Path(source).stat().st_size

    async def run(database: "Database") -> "Report":
        with progress_bar(source, size) as progress:
            return await load_file(
                database, settings, source, keep_good=keep_good, progress=progress
            )

    report = with_database(run)
    _tell(source, report)
    if report.fault_count:
        _tell_faults(report)
        fail(f"{source}: {_bad(report)} left out, the others are kept.")


def _tell(source: str, report: "Report") -> None:
    typer.echo(f"{source}:")
    if not report.counts:
        typer.echo("  no records")
    width = max((len(kind) for kind in report.counts), default=0)
    for kind, counts in report.counts.items():
        typer.echo(
            f"  {kind.replace('_', ' '):<{width}} {counts.created:>9,} new"
            f" {counts.updated:>9,} changed {counts.unchanged:>9,} unchanged"
        )


def _tell_faults(report: "Report") -> None:
    for fault in report.faults:
        typer.echo(str(fault), err=True)
    more = report.fault_count - len(report.faults)
    if more:
        typer.echo(f"and {more} more", err=True)


def _bad(report: "Report") -> str:
    count = report.fault_count
    return "1 bad line was" if count == 1 else f"{count} bad lines were"


@contextmanager
def _failures_in_a_line(source: str) -> Iterator[None]:
    """End the command with what a person can act on; nothing of the source is kept."""
    from sqlalchemy.exc import SQLAlchemyError  # noqa: PLC0415 - keeps --help fast

    from app.exchange.jsonl import UnreadableFile  # noqa: PLC0415
    from app.exchange.report import FAULTS_TOLD, BadRecords, ImportRunning  # noqa: PLC0415

    try:
        yield
    except BadRecords as bad:
        _tell_faults(bad.report)
        stopped = ", and looking for more ended there" * (bad.report.fault_count >= FAULTS_TOLD)
        fail(f"{source}: {_bad(bad.report)} found{stopped}; nothing of it is kept.")
    except (UnreadableFile, ImportRunning) as error:
        fail(f"{str(error).rstrip('.')}.")
    except (OSError, SQLAlchemyError) as error:
        reason = str(getattr(error, "orig", None) or error).splitlines()[0]
        fail(f"{source}: nothing of it is kept: {reason}.")


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
    from sqlalchemy.exc import SQLAlchemyError  # noqa: PLC0415 - keeps --help fast

    from app.exchange import exporter  # noqa: PLC0415

    settings = load_settings()
    try:
        with _opened(output) as file:

            async def run(database: "Database") -> None:
                async for piece in exporter.export(database, settings, proofs=proofs):
                    file.write(piece)
                file.flush()

            with_database(run)
    except BrokenPipeError:  # whoever read has what they wanted
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(FAILED) from None
    except exporter.ProofMissing as error:
        fail(str(error), "With --no-proofs everything else can be exported.")
    except OSError as error:
        fail(f"The export cannot be written: {error}.", code=MISUSED)
    except SQLAlchemyError as error:
        fail(f"The export failed: {str(getattr(error, 'orig', error)).splitlines()[0]}.")


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
