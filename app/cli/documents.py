"""Write the documents of issued invoices or of credit notes into files, or check them."""

import asyncio
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Annotated, Final

import typer

from app.billing.periods import Period
from app.cli.context import fail, load_settings, one_line
from app.cli.database import with_database
from app.cli.exit_codes import FAILED, MISUSED
from app.cli.output import open_output
from app.database.engine import Connection, Database
from app.documents.files import html_name, pdf_name, xml_name
from app.documents.pdf.maker import PdfMaker
from app.documents.profiles import PROFILES, Profile, Syntax, get_profile
from app.domain_errors import DomainError, NotFound, UnmetRequirements
from app.invoices.queries.documents import IssuedDocument
from app.invoices.rendering.documents import check_profiles, render_html, render_pdf, render_xml
from app.progress import Progress
from app.settings import Settings

_AT_ONCE: Final = 8
"""The documents that are made side by side."""
_STANDARD_OUTPUT: Final = Path("-")

ProfileName = Annotated[
    str | None,
    typer.Option(
        help="The profile: en16931 (default), peppol or xrechnung of UBL; en16931 (default) or"
        " xrechnung of CII."
    ),
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


OnlyProfile = Annotated[
    ProfileLabel | None, typer.Option(help="Only this profile; all by default.")
]


@dataclass(frozen=True)
class DocumentKeeper:
    """Finds the documents of one kind by keys."""

    noun: str
    """`invoice` or `credit note`."""
    find_by_reference: Callable[[Connection, str], Awaitable[int]]
    """Returns the key of the document with a UUID or a number. Raises NotFound."""
    list_issued: Callable[[Connection, Period | None], Awaitable[Sequence[int]]]
    """Returns the keys of the documents of a month, or of all."""
    find: Callable[[Database, Settings, int], Awaitable[IssuedDocument]]
    """Returns the document with a key. Raises DomainError."""

    async def list_keys(self, database: Database, month: Period | None) -> Sequence[int]:
        """Return the keys of the documents of a month, or of all."""
        async with database.reading() as connection:
            return await self.list_issued(connection, month)


@dataclass(frozen=True)
class Selection:
    """The documents that the arguments of a command name: one, those of a month, or all."""

    reference: str | None
    month: Period | None
    every: bool


def write_documents(
    keeper: DocumentKeeper,
    selection: Selection,
    document_format: DocumentFormat,
    profile: str | None,
    output: Path | None,
) -> None:
    """Write the selected documents into a file or a folder."""
    reference, month = selection.reference, selection.month
    if [reference is not None, month is not None, selection.every].count(True) != 1:
        fail(f"Name one {keeper.noun}, or give --month or --all.", code=MISUSED)
    if output is None:
        fail("Name the file or folder with -o.", code=MISUSED)
    chosen = _profile_of(document_format, profile)
    writer = _Writer(keeper, load_settings(), document_format, chosen)
    if reference is not None:
        _write_one(writer, reference, output)
    else:
        _write_many(writer, month, output)


def check_documents(
    keeper: DocumentKeeper, month: Period | None, profile: ProfileLabel | None, completion: str
) -> None:
    """Print for each document and profile `ok`, or what is missing.

    `completion` are the arguments of the command that completes the documents.
    """
    settings = load_settings()
    profiles = [each for each in PROFILES if profile in (None, each.label)]
    bad = 0

    async def run(database: Database, progress: Progress) -> int:
        nonlocal bad
        keys = await keeper.list_keys(database, month)
        progress.begin("documents", len(keys))
        for key in keys:
            issued = await keeper.find(database, settings, key)
            async with database.snapshot() as connection:
                found = await check_profiles(connection, issued, profiles)
            bad += any(found.values())
            for each, problems in found.items():
                start = f"{issued.document.printed_number} {each.label}:"
                for text in map(str, problems) if problems else ["ok"]:
                    typer.echo(f"{start} {one_line(text)}")
            progress.advance()
        return len(keys)

    checked = _run(f"{keeper.noun} check", run)
    if bad:
        fail(
            f"Of {checked:,} {keeper.noun}s, {bad:,} cannot be written in each profile.",
            f"Set what is missing, then run `python -m app document complete {completion}`.",
        )
    typer.echo(f"All {checked:,} {keeper.noun}s can be written in each profile.", err=True)


class _Writer:
    """Writes documents in one format."""

    def __init__(
        self,
        keeper: DocumentKeeper,
        settings: Settings,
        document_format: DocumentFormat,
        profile: Profile | None,
    ) -> None:
        self.keeper = keeper
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
            yield await render_html(database, issued, self.settings.locale)


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

    async def run(database: Database, _progress: Progress) -> int:
        async with database.reading() as connection:
            key = await writer.keeper.find_by_reference(connection, reference)
        issued = await writer.keeper.find(database, writer.settings, key)
        await writer.write(database, issued, output)
        return 1

    try:
        _run(f"{writer.keeper.noun} document", run)
    except NotFound:
        fail(f"There is no {writer.keeper.noun} {reference}.")


def _write_many(writer: _Writer, month: Period | None, folder: Path) -> None:
    failures: list[str] = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        fail(f"The folder cannot be created: {error}.", code=MISUSED)

    async def run(database: Database, progress: Progress) -> int:
        keys = await writer.keeper.list_keys(database, month)
        progress.begin("documents", len(keys))
        write = partial(_write_into, writer, database, folder)
        for start in range(0, len(keys), _AT_ONCE):
            batch = keys[start : start + _AT_ONCE]
            for lines in await asyncio.gather(*map(write, batch)):
                failures.extend(lines)
            progress.advance(len(batch))
        return len(keys)

    number = _run(f"{writer.keeper.noun} document", run)
    failed = sum(not line.startswith("  ") for line in failures)
    for line in failures:
        typer.echo(line, err=True)
    typer.echo(f"{number - failed:,} of {number:,} documents written to {folder}.", err=True)
    if failures:
        raise typer.Exit(FAILED)


async def _write_into(writer: _Writer, database: Database, folder: Path, key: int) -> Sequence[str]:
    """Write a document into a folder; return the lines that say why it cannot be made."""
    try:
        issued = await writer.keeper.find(database, writer.settings, key)
        await writer.write(database, issued, folder / writer.name(issued))
    except UnmetRequirements as error:
        return [str(error), *(f"  {line}" for line in error.problem_lines)]
    except DomainError as error:
        return [str(error)]
    return []


def _run(label: str, run: Callable[[Database, Progress], Awaitable[int]]) -> int:
    """Run on the database; a file that cannot be written ends the command with one line."""
    try:
        return with_database(label, run)
    except UnmetRequirements as error:
        fail(str(error), *error.problem_lines)
    except NotFound:
        raise
    except DomainError as error:
        fail(str(error))
    except OSError as error:
        fail(f"The document cannot be written: {error}.", code=MISUSED)
