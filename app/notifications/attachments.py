"""The files that a mail brings along: the PDF of its document and, by a setting, the UBL."""

from dataclasses import dataclass
from typing import Final

from app.database.engine import Database
from app.documents.files import PDF_TYPE, XML_TYPE, pdf_name, xml_name
from app.documents.pdf.maker import PdfMaker
from app.documents.profiles import Syntax, get_profile
from app.domain_errors import DomainError
from app.invoices.queries.documents import IssuedDocument
from app.invoices.rendering.documents import render_pdf, render_xml
from app.logging import get_logger
from app.settings import Settings

MAX_BYTES: Final = 7 * 1024 * 1024
"""The most bytes of all files of a mail. Many mail servers refuse 10 MB, with a third more for the
encoding."""

_logger = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file of a mail."""

    name: str
    media_type: str
    content: bytes


async def make_attachments(
    database: Database, settings: Settings, issued: IssuedDocument
) -> list[Attachment]:
    """Return those files of a document that can be made; the log has why others cannot."""
    made: list[Attachment] = []
    for make in (_make_pdf, _make_ubl):
        try:
            attachment = await make(database, settings, issued)
        except DomainError as error:
            number = issued.document.printed_number
            _logger.warning("document not attached", number=number, reason=str(error))
        else:
            made += [attachment] if attachment else []
    return that_fit(made)


async def _make_pdf(database: Database, settings: Settings, issued: IssuedDocument) -> Attachment:
    content = await render_pdf(database, issued, PdfMaker(default_locale=settings.locale))
    return Attachment(pdf_name(issued.document), PDF_TYPE, content)


async def _make_ubl(
    database: Database, settings: Settings, issued: IssuedDocument
) -> Attachment | None:
    if settings.notification_ubl_profile is None:
        return None
    profile = get_profile(Syntax.UBL, settings.notification_ubl_profile)
    async with database.snapshot() as connection:
        parts = [part async for part in render_xml(connection, issued, profile)]
    return Attachment(xml_name(issued.document, profile), XML_TYPE, b"".join(parts))


def that_fit(made: list[Attachment]) -> list[Attachment]:
    """Return the first files that fit into a mail together."""
    kept: list[Attachment] = []
    size = 0
    for attachment in made:
        size += len(attachment.content)
        if size > MAX_BYTES:
            _logger.warning("document not attached", name=attachment.name, reason="too large")
            size -= len(attachment.content)
        else:
            kept.append(attachment)
    return kept
