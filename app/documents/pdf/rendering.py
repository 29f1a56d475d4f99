"""Renders a document as PDF/A-3b, the same bytes each time."""

import json
import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, time
from functools import cache
from pathlib import Path
from typing import Any, Final, cast

import typst

from app.documents.document import DocumentLine, FrozenDocument
from app.documents.pdf.characters import PLACEHOLDER
from app.documents.pdf.content import build_content
from app.documents.pdf.errors import PdfError
from app.documents.pdf.factur_x import declare_attachment
from app.documents.printed_lines import InvoiceLine, print_lines
from app.documents.profiles import FACTUR_X
from app.documents.requirements import find_problems
from app.documents.texts import Texts, choose_texts
from app.documents.xml_documents import write_xml

MAX_ATTACHED_LINES: Final = 5_000
"""The most lines of an attached CII, which has 8 MB then."""
_DIRECTORY: Final = Path(__file__).parent
_MAX_TAGGED_LINES: Final = 500
"""Tags make a document accessible, and fifteen times as large: 2 MB for 2,000 lines."""
_NOT_DISPLAYED: Final = re.compile(r'the text `(".*?")` could not be displayed', re.DOTALL)
_TYPST_ESCAPE: Final = re.compile(r"\\u\{([0-9a-f]+)\}")
_MAX_REPLACEMENTS: Final = 20


def make_pdf_with_e_invoice(
    document: FrozenDocument, lines: Sequence[DocumentLine], *, default_locale: str = "en"
) -> bytes:
    """Return a document as PDF/A-3b, with its CII inside where it can be written.

    The CII is left out where the document lacks what EN 16931 requires, and above
    `MAX_ATTACHED_LINES` lines. Raises PdfError if the PDF cannot be made.
    """
    can_be_written = document.items <= MAX_ATTACHED_LINES and not find_problems(
        document, [lines], FACTUR_X
    )
    xml = write_xml(document, lines, FACTUR_X) if can_be_written else None
    return make_pdf(document, lines, xml, default_locale=default_locale)


def make_pdf(
    document: FrozenDocument,
    lines: Iterable[DocumentLine],
    xml: bytes | None,
    *,
    default_locale: str = "en",
) -> bytes:
    """Return a document as PDF/A-3b; with `xml`, the CII of it, as Factur-X.

    Lines with a price of zero are left out. `default_locale` is used where the document has no
    language of which there is a catalogue. Raises PdfError if the PDF cannot be made.
    """
    texts = choose_texts(document.language, default_locale)
    return _print(document, print_lines(document, lines, texts), texts, xml)


def make_summed_up_pdf(
    document: FrozenDocument, summary: Sequence[InvoiceLine], *, default_locale: str = "en"
) -> bytes:
    """Return a document of more than `MAX_ATTACHED_LINES` lines, of which it has the summary.

    The summary is that of `LineSummary`. Raises PdfError if the PDF cannot be made.
    """
    return _print(document, summary, choose_texts(document.language, default_locale), None)


def _print(
    document: FrozenDocument, lines: Sequence[InvoiceLine], texts: Texts, xml: bytes | None
) -> bytes:
    content = json.dumps(build_content(document, lines, texts), ensure_ascii=False)
    inputs = {"content": content, "xml": xml.decode() if xml else ""}
    options: dict[str, Any] = {
        "format": "pdf",
        "pdf_standards": ["a-3b"],
        "pdf_tags": document.items <= _MAX_TAGGED_LINES,
        "timestamp": datetime.combine(document.issue_date, time(), UTC),
    }
    pdf = _compile(inputs, options)
    return declare_attachment(pdf) if xml else pdf


def _compile(inputs: dict[str, str], options: dict[str, Any]) -> bytes:
    """Compile the template, without those characters that its fonts cannot show together."""
    for _ in range(_MAX_REPLACEMENTS):
        try:
            return cast("bytes", _compiler().compile(sys_inputs=inputs, **options))
        except typst.TypstError as error:
            shown = _without_the_named(inputs["content"], error)
            if shown == inputs["content"]:
                raise PdfError(str(error)) from error
            inputs = inputs | {"content": shown}
    raise PdfError(f"The fonts lack more than {_MAX_REPLACEMENTS} kinds of characters.")


def _without_the_named(content: str, error: typst.TypstError) -> str:
    """Replace the characters that the message of an error names."""
    named = _NOT_DISPLAYED.search(error.message)
    if not named:
        return content
    text = _TYPST_ESCAPE.sub(lambda code: chr(int(code[1], 16)), named[1][1:-1])
    for character in set(text):
        if not character.isascii():
            content = content.replace(character, PLACEHOLDER)
    return content


@cache
def _compiler() -> typst.Compiler:
    """Return the compiler with the fonts, which are loaded once in a process."""
    fonts = typst.Fonts(
        include_system_fonts=False,
        include_embedded_fonts=False,
        font_paths=[str(_DIRECTORY / "fonts")],
    )
    return typst.Compiler(str(_DIRECTORY / "document.typ"), root=str(_DIRECTORY), font_paths=fonts)
