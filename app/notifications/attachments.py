"""The files that a mail brings along: the PDF of its document and, by a setting, the UBL."""

import asyncio
from collections.abc import Hashable
from dataclasses import dataclass
from email.message import MIMEPart
from email.policy import SMTP
from typing import Final

from cachetools import LRUCache

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
    """A file of a mail, encoded for it."""

    name: str
    size: int
    """The bytes of the file itself."""
    part: bytes
    """The file as a part of a MIME message, headers included."""


def encode_attachment(name: str, media_type: str, content: bytes) -> Attachment:
    """Encode a file for a mail."""
    maintype, _, subtype = media_type.partition("/")
    part = MIMEPart()
    part.set_content(
        content, maintype=maintype, subtype=subtype, filename=name, disposition="attachment"
    )
    return Attachment(name, len(content), part.as_bytes(policy=SMTP))


class AttachmentMaker:
    """Makes the files of documents, and keeps them for further recipients of the same document.

    A document never changes. Its files are made once for mails that are composed at the same time,
    and stay in memory within `DOCUMENT_CACHE_BYTES`.
    """

    def __init__(self, database: Database, settings: Settings) -> None:
        self._database = database
        self._settings = settings
        self._cache: LRUCache[Hashable, list[Attachment]] = LRUCache(
            settings.document_cache_bytes,
            getsizeof=lambda files: sum(len(file.part) for file in files),
        )
        self._making: dict[Hashable, asyncio.Task[list[Attachment]]] = {}

    async def make(self, issued: IssuedDocument) -> list[Attachment]:
        """Return those files of a document that can be made; the log has why others cannot."""
        key = issued.digest
        found: list[Attachment] | None = self._cache.get(key)
        if found is not None:
            return found
        making = self._making.get(key)
        if making is None:
            making = asyncio.create_task(self._make_and_keep(key, issued))
            self._making[key] = making
        # Other mails may wait for it, too, when this one is cancelled.
        return await asyncio.shield(making)

    async def aclose(self) -> None:
        """Cancel what is being made."""
        for making in self._making.values():
            making.cancel()

    async def _make_and_keep(self, key: Hashable, issued: IssuedDocument) -> list[Attachment]:
        try:
            made, is_whole = await self._make(issued)
            fitting = that_fit(made)
            if is_whole and sum(len(file.part) for file in fitting) <= self._cache.maxsize:
                self._cache[key] = fitting
            return fitting
        finally:
            del self._making[key]

    async def _make(self, issued: IssuedDocument) -> tuple[list[Attachment], bool]:
        """Return the files, and whether none is missing that may be made another time."""
        made: list[Attachment] = []
        is_whole = True
        for make in (self._make_pdf, self._make_ubl):
            try:
                attachment = await make(issued)
            except DomainError as error:
                number = issued.document.printed_number
                _logger.warning("document not attached", number=number, reason=str(error))
                is_whole = False
            else:
                made += [attachment] if attachment else []
        return made, is_whole

    async def _make_pdf(self, issued: IssuedDocument) -> Attachment:
        maker = PdfMaker(default_locale=self._settings.locale)
        content = await render_pdf(self._database, issued, maker)
        name = pdf_name(issued.document)
        return await asyncio.to_thread(encode_attachment, name, PDF_TYPE, content)

    async def _make_ubl(self, issued: IssuedDocument) -> Attachment | None:
        if self._settings.notification_ubl_profile is None:
            return None
        profile = get_profile(Syntax.UBL, self._settings.notification_ubl_profile)
        async with self._database.snapshot() as connection:
            parts = [part async for part in render_xml(connection, issued, profile)]
        name = xml_name(issued.document, profile)
        return await asyncio.to_thread(encode_attachment, name, XML_TYPE, b"".join(parts))


def that_fit(made: list[Attachment]) -> list[Attachment]:
    """Return the first files that fit into a mail together."""
    kept: list[Attachment] = []
    size = 0
    for attachment in made:
        size += attachment.size
        if size > MAX_BYTES:
            _logger.warning("document not attached", name=attachment.name, reason="too large")
            size -= attachment.size
        else:
            kept.append(attachment)
    return kept
