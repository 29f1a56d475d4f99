"""Documents as XML: the writer of a profile, and whole files."""

from collections.abc import Sequence
from typing import Final

from app.documents.cii import CiiWriter
from app.documents.document import DocumentLine, FrozenDocument
from app.documents.profiles import Profile, Syntax
from app.documents.ubl import UblWriter
from app.documents.xml_writer import XmlWriter

_WRITERS: Final[dict[Syntax, type[XmlWriter]]] = {Syntax.UBL: UblWriter, Syntax.CII: CiiWriter}


def create_writer(document: FrozenDocument, profile: Profile) -> XmlWriter:
    """Return the writer of a document in the syntax of a profile."""
    return _WRITERS[profile.syntax](document, profile)


def write_xml(document: FrozenDocument, lines: Sequence[DocumentLine], profile: Profile) -> bytes:
    """Return the whole file of a document whose lines are in memory."""
    writer = create_writer(document, profile)
    return writer.begin() + writer.lines(lines) + writer.end()
