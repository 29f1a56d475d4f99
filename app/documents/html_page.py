"""Renders a document as one HTML file that loads nothing and prints on A4."""

from collections.abc import Sequence
from typing import Final

from jinja2 import Environment, PackageLoader, StrictUndefined

from app.documents.document import FrozenDocument
from app.documents.pdf.content import build_page
from app.documents.printed_lines import InvoiceLine
from app.documents.texts import Texts

_TEMPLATES: Final = Environment(
    loader=PackageLoader("app.documents"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def make_html(document: FrozenDocument, lines: Sequence[InvoiceLine], texts: Texts) -> str:
    """Return a document with its printed lines as HTML, in the language of the texts."""
    page = build_page(document, lines, texts)
    return _TEMPLATES.get_template("document.html").render(page=page)
