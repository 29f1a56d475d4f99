"""`invoice document` and `invoice check`: write the documents of issued invoices, or check them."""

import asyncio
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Annotated, Final

import typer

from app.billing.periods import Period
from app.cli.context import fail, load_settings, one_line
from app.cli.database import with_database
from app.cli.exit_codes import FAILED, MISUSED
from app.cli.months import parse_month
from app.cli.output import open_output
from app.cli.progress import progress_bar
from app.database.engine import Database
from app.documents.files import html_name, pdf_name, xml_name
from app.documents.pdf.maker import PdfMaker
from app.documents.profiles import PROFILES, Profile, Syntax, get_profile
from app.domain_errors import DomainError, UnmetRequirements
from app.invoices.actions.freeze import find_or_freeze
from app.invoices.errors import InvoiceNotFound
from app.invoices.queries.documents import IssuedDocument, find_by_reference, list_issued
from app.invoices.rendering.documents import check_profiles, render_pdf, render_xml
from app.notifications.invoice_query import read_invoice_view
from app.notifications.rendering import InvoiceRenderer
from app.settings import Settings

_AT_ONCE: Final = 8
"""The documents that are made side by side."""
_STANDARD_OUTPUT: Final = Path("-")

_Month = Annotated[
    Period | None,
    typer.Option(parser=parse_month, metavar="YYYY-MM", help="All issued invoices of this month."),
]


class DocumentFormat(StrEnum):
    """The kinds of files of a document."""

    PDF = "pdf"
    UBL = "ubl"
    CII = "cii"
    HTML = "html"


class ProfileLabel(StrEnum):
    """The profiles of both syntaxes."""

    EN16931 = "en16931"
    PEPPOL = "peppol"
    XRECHNUNG = "xrechnung"
    FACTUR_X = "factur-x"
    XRECHNUNG_CII = "xrechnung-cii"


def document(  # noqa: PLR0913, PLR0917 - the options of the command
    invoice: Annotated[
        str | None, typer.Argument(help="The UUID or the number of an issued invoice.")
    ] = None,
    format: Annotated[  # noqa: A002 - the option's name
        DocumentFormat, typer.Option(help="The format of the file.")
    ] = DocumentFormat.PDF,
    profile: Annotated[
        str | None,
        typer.Option(
            help="The profile: en16931 (default), peppol or xrechnung of UBL; en16931 (default) or"
            " xrechnung of CII."
        ),
    ] = None,
    month: _Month = None,
    every: Annotated[bool, typer.Option("--all", help="All issued invoices.")] = False,
    output: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--output",
            help="The file to write, or - for standard output; of several invoices, the folder.",
        ),
    ] = None,
) -> None:
    """Write the document of an issued invoice, or those of a month or of all invoices."""
    if [invoice is not None, month is not None, every].count(True) != 1:
        fail("Name one invoice, or give --month or --all.", code=MISUSED)
    if output is None:
        fail("Name the file or folder with -o.", code=MISUSED)
    chosen = _profile_of(format, profile)
    settings = load_settings()
    writer = _Writer(settings, format, chosen)
    if invoice is not None:
        _write_one(writer, invoice, output)
    else:
        _write_many(writer, month, output)


def check(
    month: _Month = None,
    profile: Annotated[
        ProfileLabel | None, typer.Option(help="Only this profile; all by default.")
    ] = None,
) -> None:
    """Check whether issued invoices can be written in each profile, and print what is missing."""
    settings = load_settings()
    profiles = [each for each in PROFILES if profile in (None, each.label)]
    bad = 0

    async def run(database: Database) -> int:
        nonlocal bad
        invoices = await _list(database, month)
        for invoice_id in invoices:
            issued = await find_or_freeze(database, settings, invoice_id)
            async with database.snapshot() as connection:
                found = await check_profiles(connection, issued, profiles)
            bad += any(found.values())
            for each, problems in found.items():
                start = f"{issued.document.printed_number} {each.label}:"
                for text in map(str, problems) if problems else ["ok"]:
                    typer.echo(f"{start} {one_line(text)}")
        return len(invoices)

    checked = _run(run)
    if bad:
        chosen = "--all" if month is None else f"--month {month.year:04}-{month.month:02}"
        fail(
            f"Of {checked:,} invoices, {bad:,} cannot be written in each profile.",
            f"Set what is missing, then run `python -m app document complete {chosen}`.",
        )
    typer.echo(f"All {checked:,} invoices can be written in each profile.", err=True)


class _Writer:
    """Writes documents in one format."""

    def __init__(
        self, settings: Settings, document_format: DocumentFormat, profile: Profile | None
    ) -> None:
        self.settings = settings
        self.format = document_format
        self._profile = profile
        self._maker = PdfMaker(default_locale=settings.locale)

    def name(self, issued: IssuedDocument) -> str:
        """Return the name of the file of a document."""
        if self._profile is not None:
            return xml_name(issued.document, self._profile)
        names = {DocumentFormat.PDF: pdf_name, DocumentFormat.HTML: html_name}
        return names[self.format](issued.document)

    async def write(self, database: Database, issued: IssuedDocument, path: Path) -> None:
        """Write a document; raises DomainError if it cannot be made."""
        with open_output(path) as file:
            async for part in self._parts(database, issued):
                file.write(part)

    async def _parts(self, database: Database, issued: IssuedDocument) -> AsyncGenerator[bytes]:
        if self._profile is not None:
            async with database.snapshot() as connection:
                async for part in render_xml(connection, issued, self._profile):
                    yield part
        elif self.format is DocumentFormat.PDF:
            yield await render_pdf(database, issued, self._maker)
        else:
            view = await read_invoice_view(database, issued.invoice_id, self.settings.currency)
            yield InvoiceRenderer(self.settings, view).document().encode()


def _profile_of(document_format: DocumentFormat, name: str | None) -> Profile | None:
    if document_format in (DocumentFormat.UBL, DocumentFormat.CII):
        try:
            return get_profile(Syntax(document_format.value), name or "en16931")
        except ValueError as error:
            fail(f"--profile is wrong: {error}.", code=MISUSED)
    if name is not None:
        fail(f"A {document_format.upper()} file has no profile.", code=MISUSED)
    return None


def _write_one(writer: _Writer, reference: str, output: Path) -> None:
    if output == _STANDARD_OUTPUT and writer.format is DocumentFormat.PDF and sys.stdout.isatty():
        fail("A terminal cannot show a PDF: give a file with -o.", code=MISUSED)

    async def run(database: Database) -> int:
        async with database.reading() as connection:
            invoice_id = await find_by_reference(connection, reference)
        issued = await find_or_freeze(database, writer.settings, invoice_id)
        await writer.write(database, issued, output)
        return 1

    try:
        _run(run)
    except InvoiceNotFound:
        fail(f"There is no invoice {reference}.")


def _write_many(writer: _Writer, month: Period | None, folder: Path) -> None:
    failures: list[str] = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        fail(f"The folder cannot be created: {error}.", code=MISUSED)

    async def run(database: Database) -> int:
        invoices = await _list(database, month)
        write = partial(_write_into, writer, database, folder)
        with progress_bar("Documents", len(invoices)) as progress:
            for start in range(0, len(invoices), _AT_ONCE):
                batch = invoices[start : start + _AT_ONCE]
                for lines in await asyncio.gather(*map(write, batch)):
                    failures.extend(lines)
                if progress is not None:
                    progress(start + len(batch))
        return len(invoices)

    number = _run(run)
    failed = sum(not line.startswith("  ") for line in failures)
    for line in failures:
        typer.echo(line, err=True)
    typer.echo(f"{number - failed:,} of {number:,} documents written to {folder}.", err=True)
    if failures:
        raise typer.Exit(FAILED)


async def _write_into(
    writer: _Writer, database: Database, folder: Path, invoice_id: int
) -> Sequence[str]:
    """Write a document into a folder; return the lines that say why it cannot be made."""
    try:
        issued = await find_or_freeze(database, writer.settings, invoice_id)
        await writer.write(database, issued, folder / writer.name(issued))
    except UnmetRequirements as error:
        return [str(error), *(f"  {line}" for line in error.problem_lines)]
    except DomainError as error:
        return [str(error)]
    return []


async def _list(database: Database, month: Period | None) -> Sequence[int]:
    async with database.reading() as connection:
        return await list_issued(connection, month)


def _run(run: Callable[[Database], Awaitable[int]]) -> int:
    """Run on the database; a file that cannot be written ends the command with one line."""
    try:
        return with_database(run)
    except UnmetRequirements as error:
        fail(str(error), *error.problem_lines)
    except InvoiceNotFound:
        raise
    except DomainError as error:
        fail(str(error))
    except OSError as error:
        fail(f"The document cannot be written: {error}.", code=MISUSED)
