"""Declares the attached e-invoice in the metadata of a PDF, as Factur-X 1.0 asks for.

The typesetter writes no metadata of others. They are appended as an incremental update
(ISO 32000-1, 7.5.6): the metadata object once more, a cross-reference section for it, and a trailer
that refers to the one before. So the bytes depend on the document alone, and the size of the file
does not matter.
"""

import re
from typing import Final

ATTACHMENT: Final = "factur-x.xml"
_NAMESPACE: Final = "urn:factur-x:pdfa:CrossIndustryDocument:invoice:1p0#"
_PROPERTIES: Final = {
    "DocumentFileName": (ATTACHMENT, "The name of the embedded XML document"),
    "DocumentType": ("INVOICE", "The type of the hybrid document in capital letters"),
    "Version": ("1.0", "The version of the standard applying to the embedded XML document"),
    "ConformanceLevel": ("EN 16931", "The conformance level of the embedded XML document"),
}
_SCHEMA: Final = (
    '<rdf:li rdf:parseType="Resource">'
    "<pdfaSchema:schema>Factur-X PDFA Extension Schema</pdfaSchema:schema>"
    f"<pdfaSchema:namespaceURI>{_NAMESPACE}</pdfaSchema:namespaceURI>"
    "<pdfaSchema:prefix>fx</pdfaSchema:prefix><pdfaSchema:property><rdf:Seq>"
    + "".join(
        '<rdf:li rdf:parseType="Resource">'
        f"<pdfaProperty:name>{name}</pdfaProperty:name>"
        "<pdfaProperty:valueType>Text</pdfaProperty:valueType>"
        "<pdfaProperty:category>external</pdfaProperty:category>"
        f"<pdfaProperty:description>{description}</pdfaProperty:description></rdf:li>"
        for name, (_, description) in _PROPERTIES.items()
    )
    + "</rdf:Seq></pdfaSchema:property></rdf:li>"
)
_DESCRIPTION: Final = (
    f'<rdf:Description rdf:about="" xmlns:fx="{_NAMESPACE}">'
    + "".join(f"<fx:{name}>{value}</fx:{name}>" for name, (value, _) in _PROPERTIES.items())
    + "</rdf:Description>"
)
_TRAILER: Final = re.compile(
    rb"trailer\s*<<(?P<entries>.*)>>\s*startxref\s+(?P<previous>\d+)\s+%%EOF\s*\Z", re.DOTALL
)
_METADATA: Final = re.compile(
    rb"(?P<number>\d+) 0 obj\n<</Length \d+/Type/Metadata/Subtype/XML>>\nstream\n"
    rb"(?P<xmp><\?xpacket begin.*?<\?xpacket end=\"r\"\?>)\nendstream",
    re.DOTALL,
)
_TAIL: Final = 4096
"""The trailer is shorter than this many bytes."""


def declare_attachment(pdf: bytes) -> bytes:
    """Return the PDF with the metadata of its attachment.

    Raises ValueError if the file is not written as the typesetter of this release writes it: with
    one plain metadata stream and a cross-reference table.
    """
    trailer = _TRAILER.search(pdf, max(0, len(pdf) - _TAIL))
    # The metadata stand behind the pages and the attachment; nothing in these is mistaken for them.
    start = pdf.rfind(b"<?xpacket begin")
    metadata = _METADATA.search(pdf, pdf.rfind(b"\nendobj", 0, start)) if start >= 0 else None
    if not trailer or not metadata:
        raise ValueError("The PDF has no plain metadata or no cross-reference table.")
    xmp = _add(metadata["xmp"].decode()).encode()
    number = metadata["number"].decode()
    content = pdf if pdf.endswith(b"\n") else pdf + b"\n"
    update = (
        f"{number} 0 obj\n<</Length {len(xmp)}/Type/Metadata/Subtype/XML>>\nstream\n".encode()
        + xmp
        + b"\nendstream\nendobj\n"
    )
    table = (
        f"xref\n0 1\n0000000000 65535 f \n{number} 1\n{len(content):010} 00000 n \n"
        f"trailer\n<<{trailer['entries'].decode('latin-1')}/Prev {int(trailer['previous'])}>>\n"
        f"startxref\n{len(content) + len(update)}\n%%EOF\n"
    )
    return content + update + table.encode("latin-1")


def _add(xmp: str) -> str:
    """Add the schema to those that the metadata have, and the properties after the others."""
    schemas = "</rdf:Bag></pdfaExtension:schemas>"
    if xmp.count(schemas) != 1 or xmp.count("</rdf:RDF>") != 1:
        raise ValueError("The metadata of the PDF have no list of schemas.")
    return xmp.replace(schemas, _SCHEMA + schemas).replace(
        "</rdf:RDF>", _DESCRIPTION + "</rdf:RDF>"
    )
