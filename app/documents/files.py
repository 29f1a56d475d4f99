"""The names of the files of documents, and their media types."""

from typing import Final

from app.documents.document import FrozenDocument
from app.documents.profiles import Profile

RENDERER_VERSION: Final = 2
"""The version of all files of documents. Raise it with each change of their bytes for the same
document: clients that keep a file then fetch it anew."""
PDF_TYPE: Final = "application/pdf"
XML_TYPE: Final = "application/xml"
_TITLES: Final = {"invoice": "Invoice", "credit_note": "Credit note"}
_STEMS: Final = {"invoice": "invoice", "credit_note": "credit-note"}


def pdf_name(document: FrozenDocument) -> str:
    """Return the name of the file of a PDF: `invoice-100001.pdf`."""
    return f"{_stem(document)}.pdf"


def xml_name(document: FrozenDocument, profile: Profile) -> str:
    """Return the name of the file of an XML document: `invoice-100001-peppol.xml`."""
    return f"{_stem(document)}-{profile.label}.xml"


def html_name(document: FrozenDocument) -> str:
    """Return the name of the file of an HTML document: `invoice-100001.html`."""
    return f"{_stem(document)}.html"


def document_title(document: FrozenDocument) -> str:
    """Return the kind and number of a document, for messages: `Invoice 100001`."""
    return f"{_TITLES[document.kind]} {document.printed_number}"


def _stem(document: FrozenDocument) -> str:
    return f"{_STEMS[document.kind]}-{document.number}"
