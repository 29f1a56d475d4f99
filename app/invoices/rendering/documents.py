"""Renders issued documents: XML in parts, HTML, and PDF in a process of its own."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from functools import partial

from sqlalchemy.ext.asyncio import AsyncConnection

from app.database.reads import Reads
from app.documents.files import document_title
from app.documents.html_page import make_html
from app.documents.pdf.errors import PdfError
from app.documents.pdf.maker import PdfMaker
from app.documents.pdf.rendering import MAX_ATTACHED_LINES
from app.documents.printed_lines import LineSummary, is_summed_up, print_lines
from app.documents.problems import Problem
from app.documents.profiles import Profile
from app.documents.requirements import Requirements
from app.documents.texts import choose_texts
from app.documents.xml_documents import create_writer
from app.domain_errors import TemporarilyUnavailable, UnmetRequirements
from app.invoices.queries.documents import IssuedDocument
from app.logging import get_logger

_logger = get_logger(__name__)


async def check_profiles(
    connection: AsyncConnection, issued: IssuedDocument, profiles: Sequence[Profile]
) -> dict[Profile, Sequence[Problem]]:
    """Return all that keeps a document from being written in each of the profiles.

    The connection must be in a transaction.
    """
    requirements = [Requirements(issued.document, each, issued.customer) for each in profiles]
    async for batch in issued.read_lines(connection):
        for each in requirements:
            each.check_lines(batch)
    found = (each.problems() for each in requirements)
    return dict(zip(profiles, found, strict=True))


async def require_profile(
    connection: AsyncConnection, issued: IssuedDocument, profile: Profile
) -> None:
    """Raise UnmetRequirements if the profile requires more than is known of a document.

    The connection must be in a transaction.
    """
    problems = (await check_profiles(connection, issued, [profile]))[profile]
    if problems:
        raise UnmetRequirements(
            f"{document_title(issued.document)} cannot be written as {profile.label}:"
            f" {_count(problems)} missing or wrong.",
            [problem.as_json() for problem in problems],
            [str(problem) for problem in problems],
        )


async def render_xml(
    connection: AsyncConnection, issued: IssuedDocument, profile: Profile
) -> AsyncGenerator[bytes]:
    """Yield the parts of a document in a profile, in little memory whatever its length.

    Before the first part, this raises what `require_profile` raises. The connection must be in a
    transaction.
    """
    await require_profile(connection, issued, profile)
    writer = create_writer(issued.document, profile)
    yield writer.begin()
    async for batch in issued.read_lines(connection):
        yield writer.lines(batch)
    yield writer.end()


async def render_pdf(reads: Reads, issued: IssuedDocument, maker: PdfMaker) -> bytes:
    """Return a document as PDF, with the e-invoice inside where it can be made.

    Above the most lines of an e-invoice inside, lines are summed up while they are read. No
    connection is held while the PDF is made. Raises TemporarilyUnavailable if it took too long
    or its process was killed.
    """
    async with reads.snapshot() as connection:
        if issued.document.items > MAX_ATTACHED_LINES:
            summary = maker.begin_summary(issued.document)
            async for lines in issued.read_lines(connection):
                summary.add(lines)
            make = partial(maker.make_summed_up, issued.content, summary.lines())
        else:
            batches = [batch async for batch in issued.read_batches(connection)]
            make = partial(maker.make, issued.content, batches)
    try:
        return await make()
    except PdfError as error:
        _logger.error("PDF not made", number=issued.document.printed_number, reason=str(error))
        message = f"The PDF of {document_title(issued.document)} cannot be made now."
        raise TemporarilyUnavailable(f"{message} Try again.") from error


async def render_html(reads: Reads, issued: IssuedDocument, default_locale: str) -> bytes:
    """Return a document as HTML. Lines are summed up while they are read, if there are many."""
    document = issued.document
    texts = choose_texts(document.language, default_locale)
    async with reads.snapshot() as connection:
        if is_summed_up(document):
            summary = LineSummary(document, texts)
            async for batch in issued.read_lines(connection):
                summary.add(batch)
            lines = summary.lines()
        else:
            read = [line async for batch in issued.read_lines(connection) for line in batch]
            lines = print_lines(document, read, texts)
    return (await asyncio.to_thread(make_html, document, lines, texts)).encode()


def _count(problems: Sequence[Problem]) -> str:
    return "1 value is" if len(problems) == 1 else f"{len(problems)} values are"
