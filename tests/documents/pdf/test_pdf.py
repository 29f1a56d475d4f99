"""The PDF of a document: PDF/A-3b with the e-invoice inside, the same bytes each time."""

import io
from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import Any

import pikepdf
import pytest
from lxml import etree
from pypdf import PdfReader

from app.documents.document import Party
from app.documents.pdf import content
from app.documents.pdf.rendering import make_pdf, make_pdf_with_e_invoice
from app.documents.profiles import FACTUR_X
from app.documents.xml_documents import write_xml
from tests.documents.pdf.examples import BUYER, SWISS_SELLER, credit_note, document, line, lines

XML = '<?xml version="1.0" encoding="UTF-8"?>\n<Invoice>Müller &amp; 客户\r\n</Invoice>\n'.encode()
SCHEMA = "{http://www.aiim.org/pdfa/ns/schema#}"
PROPERTY = "{http://www.aiim.org/pdfa/ns/property#}"
EXTENSION = "{http://www.aiim.org/pdfa/ns/extension/}"
NAMESPACE = "urn:factur-x:pdfa:CrossIndustryDocument:invoice:1p0#"


def text_of(pdf: bytes) -> str:
    """Return the text of all pages, in one line each."""
    pages = PdfReader(io.BytesIO(pdf), strict=True).pages
    return " ".join("".join(page.extract_text() for page in pages).replace("\u200b", "").split())


def printed(**changes: Any) -> str:
    """Return the text of an invoice of one line with changed values."""
    items = [line()]
    return text_of(make_pdf(document(items, **changes), items, None))


@pytest.fixture(scope="module")
def invoice() -> bytes:
    items = lines(3)
    return make_pdf(document(items), items, XML)


def _metadata(pdf: pikepdf.Pdf) -> etree._Element:
    stream = pdf.Root.Metadata
    assert isinstance(stream, pikepdf.Stream)
    return etree.fromstring(bytes(stream.read_bytes()))


def test_the_file_has_the_structure_of_pdf_a_3b(invoice: bytes) -> None:
    with pikepdf.open(io.BytesIO(invoice)) as pdf:
        assert pdf.check_pdf_syntax() == []
        assert not pdf.is_encrypted
        assert pdf.Root.Lang == "en"
        assert pdf.Root.MarkInfo.Marked
        assert pdf.Root.OutputIntents[0].S == "/GTS_PDFA1"
        assert len(pdf.trailer.ID) == 2
        with pdf.open_metadata() as metadata:
            assert (metadata["pdfaid:part"], metadata["pdfaid:conformance"]) == ("3", "B")
            assert metadata["dc:title"] == "Invoice 100001"
            assert metadata["dc:creator"] == ["Example Cloud OÜ"]


def test_the_e_invoice_inside_is_an_alternative_with_the_same_bytes(invoice: bytes) -> None:
    with pikepdf.open(io.BytesIO(invoice)) as pdf:
        (attached,) = pdf.Root.AF
        assert attached.AFRelationship == "/Alternative"
        assert attached.UF == "factur-x.xml"
        assert attached.EF.F.Subtype == "/text/xml"
        assert attached.EF.F.read_bytes() == XML
    assert PdfReader(io.BytesIO(invoice), strict=True).attachments["factur-x.xml"] == [XML]


def test_the_metadata_declare_the_e_invoice_in_the_one_list_of_schemas(invoice: bytes) -> None:
    with pikepdf.open(io.BytesIO(invoice)) as pdf:
        xmp = _metadata(pdf)
    assert len(list(xmp.iter(f"{EXTENSION}schemas"))) == 1
    assert NAMESPACE in [each.text for each in xmp.iter(f"{SCHEMA}namespaceURI")]
    described = {each.text for each in xmp.iter(f"{PROPERTY}name")}
    assert described >= {"DocumentType", "DocumentFileName", "Version", "ConformanceLevel"}
    values = {
        name: xmp.findtext(f".//{{{NAMESPACE}}}{name}")
        for name in ("DocumentType", "DocumentFileName", "Version", "ConformanceLevel")
    }
    assert values == {
        "DocumentType": "INVOICE",
        "DocumentFileName": "factur-x.xml",
        "Version": "1.0",
        "ConformanceLevel": "EN 16931",
    }


def test_the_e_invoice_is_inside_where_it_can_be_written() -> None:
    items = [line()]
    complete = document(items)
    incomplete = document(items, buyer=replace(BUYER, country=""))
    attached = [
        PdfReader(io.BytesIO(make_pdf_with_e_invoice(each, items)), strict=True).attachments
        for each in (complete, incomplete)
    ]
    assert attached[0]["factur-x.xml"] == [write_xml(complete, items, FACTUR_X)]
    assert attached[1] == {}


def test_a_document_without_e_invoice_declares_none() -> None:
    items = [line()]
    pdf = make_pdf(document(items), items, None)
    assert PdfReader(io.BytesIO(pdf), strict=True).attachments == {}
    assert NAMESPACE.encode() not in pdf


def test_the_same_document_gives_the_same_bytes(invoice: bytes) -> None:
    items = lines(3)
    assert make_pdf(document(items), items, XML) == invoice
    assert make_pdf(document(items, number=100002), items, XML) != invoice


def test_all_fonts_are_embedded() -> None:
    items = [line(name="Größe Ελληνικά Привет مرحبا 你好 שלום ไทย हिन्दी ქართული Հայերեն")]
    with pikepdf.open(
        io.BytesIO(make_pdf(document(items, seller=SWISS_SELLER, currency="CHF"), items, None))
    ) as pdf:
        fonts = [
            font.DescendantFonts[0].FontDescriptor
            for page in pdf.pages
            for font in page.resources.get("/Font", {}).values()
        ]
        assert len(fonts) >= 10
        assert all("/FontFile2" in font or "/FontFile3" in font for font in fonts)


def test_the_file_is_self_contained_and_does_nothing_by_itself(invoice: bytes) -> None:
    """PDF/A-3 forbids scripts, actions but links, and content that is elsewhere (6.5, 6.6)."""
    with pikepdf.open(io.BytesIO(invoice)) as pdf:
        assert not pdf.Root.keys() & {"/OpenAction", "/AA", "/AcroForm", "/Perms"}
        assert "/JavaScript" not in pdf.Root.get("/Names", {})
        objects = [
            each for each in pdf.objects if isinstance(each, pikepdf.Dictionary | pikepdf.Stream)
        ]
        actions = [each.S for each in objects if "/S" in each and "/URI" in each]
        assert set(actions) <= {pikepdf.Name.URI}
        assert not any("/JS" in each for each in objects)
        filters = {str(each.get("/Filter")) for each in objects if isinstance(each, pikepdf.Stream)}
        assert filters <= {"None", "/FlateDecode", "/DCTDecode"}
        assert not any("/F" in each for each in objects if isinstance(each, pikepdf.Stream))
        intent = pdf.Root.OutputIntents[0]
        assert intent.DestOutputProfile.N == 3
        assert bytes(intent.DestOutputProfile.read_bytes())[36:40] == b"acsp"


@pytest.mark.parametrize(
    "name",
    [
        "Ελληνική Εταιρεία",
        "Завод «Ромашка»",
        "示例云计算有限公司",
        "Größe & Söhne <b>#x*$",
        "株式会社",
    ],
)
def test_names_of_other_scripts_are_text(name: str) -> None:
    text = printed(buyer=replace(BUYER, name=name))
    assert name in text


def test_arabic_and_hebrew_are_text() -> None:
    text = printed(buyer=replace(BUYER, name="شركة", city="חיפה"))
    assert {"ش", "ح"} & set(text) or "شركة" in text
    assert set("חיפה") <= set(text)


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("Bell\a Ltd", "Bell Ltd"),
        ("Un\u0378assigned", "Un□assigned"),
        ("𠮷野家", "□野家"),
        ("ক Ltd \U0001f600", "□ Ltd □"),
        ("Turned\u202e round", "Turned round"),
        ("Tab\tLine\u2028End", "Tab Line End"),
    ],
)
def test_characters_that_no_font_has_do_not_stop_a_document(name: str, shown: str) -> None:
    text = printed(buyer=replace(BUYER, name=name))
    assert shown in text


def test_a_character_that_the_list_has_and_the_fonts_have_not_is_replaced_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(content, "make_printable", lambda value: value)
    assert "□野家 x □" in printed(buyer=replace(BUYER, name="𠮷野家 x 𠮷"))


def test_long_names_are_cut_and_long_words_broken() -> None:
    text = printed(buyer=replace(BUYER, name="W" * 400, address="Street", city=""))
    assert "W" * 20 in text.replace(" ", "")
    assert 250 < text.count("W") < 310


def test_an_invoice_states_what_is_to_be_paid_and_how() -> None:
    text = printed(
        payment_url="https://pay.example/1", buyer_reference="LW-1", order_reference="PO-7"
    )
    for shown in (
        "Invoice 100001",
        "October 2026",
        "Dec 1, 2026",
        "€11.16",
        "Website",
        "Virtual machine 1 744 hour 0.0125 9.30 1.86 11.16",
        "Tax, 20% €1.86",
        "RF69 1000 01",
        "EE38 2200 2210 2014 5685",
        "VAT number DE123456789",
        "Registration number 10000000",
        "LW-1",
        "PO-7",
        "Scan to pay",
        "1 / 1",
    ):
        assert shown in text
    items = [line()]
    pdf = make_pdf(document(items, payment_url="https://pay.example/1"), items, None)
    links = [
        annotation.get_object()["/A"]["/URI"]
        for annotation in PdfReader(io.BytesIO(pdf)).pages[0].annotations or []
    ]
    assert links == ["https://pay.example/1"]


def test_an_address_that_is_no_web_address_is_no_link() -> None:
    items = [line()]
    pdf = make_pdf(document(items, payment_url="javascript:alert(1)"), items, None)
    assert "/Annots" not in PdfReader(io.BytesIO(pdf)).pages[0]


def test_an_invoice_in_the_favour_of_the_buyer_asks_for_nothing() -> None:
    items = [line(), line(2, name="Outage", price=Decimal("-50.00"), credit=True)]
    text = text_of(make_pdf(document(items), items, None))
    assert "In your favour" in text
    assert "Nothing is to be paid." in text
    assert "Outage Compensation" in text
    assert "RF69" not in text
    assert "Scan to pay" not in text


def test_an_invoice_of_nothing_says_so() -> None:
    hidden = [line(price=Decimal(0), quantity=Decimal("0.0001"))]
    text = text_of(make_pdf(document(hidden, hidden_items=1), hidden, None))
    assert "Nothing is charged." in text
    assert "1 item of 0.00 is not listed" in text


def test_amounts_have_the_decimals_of_the_currency() -> None:
    items = [line(price=Decimal(930))]
    text = text_of(make_pdf(document(items, currency="JPY"), items, None))
    assert "¥1,116" in text
    assert "Scan to pay" not in text


@pytest.mark.parametrize(
    ("language", "title"),
    [
        ("en", "Credit note CN-1"),
        ("de", "Rechnungskorrektur CN-1"),
        ("fr-CH", "Avoir CN-1"),
        ("et", "Kreeditarve CN-1"),
        ("fi", "Hyvityslasku CN-1"),
    ],
)
def test_a_credit_note_has_its_own_title_and_names_the_invoice(language: str, title: str) -> None:
    items = [line()]
    text = text_of(make_pdf(credit_note(items, language=language), items, None))
    assert title in text
    assert "100001" in text
    assert "Outage of 3 October" in text
    assert "RF69" not in text


@pytest.mark.parametrize(("is_paid", "says"), [(True, "owed to you"), (False, "credited to you")])
def test_a_credit_note_of_a_paid_invoice_says_that_the_sum_is_owed(
    is_paid: bool, says: str
) -> None:
    items = [line()]
    note = credit_note(items)
    assert note.preceding is not None
    note = replace(note, preceding=replace(note.preceding, is_paid=is_paid))
    assert says in " ".join(text_of(make_pdf(note, items, None)).split())


@pytest.mark.parametrize(
    ("price", "label"), [("13.42", "Amount credited"), ("-13.42", "Amount charged")]
)
def test_the_head_of_a_credit_note_has_its_amount_without_a_sign(price: str, label: str) -> None:
    items = [line(price=Decimal(price))]
    note = credit_note(items)
    text = " ".join(text_of(make_pdf(note, items, None)).split())
    head, _, _ = text.partition("Outage of 3 October")
    assert f"{label} €{abs(note.gross)}" in head


@pytest.mark.parametrize(
    ("category", "reason"),
    [("AE", "Reverse charge"), ("K", "intra-Community"), ("G", "export"), ("O", "Not subject")],
)
def test_the_reason_of_a_tax_exemption_is_printed(category: str, reason: str) -> None:
    text = printed(tax_percent=Decimal(0), tax_category=category, note="Thank you.")
    assert reason in text
    assert "Thank you." in text


def test_a_period_of_late_lines_is_printed_with_its_days() -> None:
    assert "Sep 28, 2026 \u2013 Oct 31, 2026" in printed(period_start=date(2026, 9, 28))


def test_a_document_of_an_unknown_seller_and_buyer_is_printed() -> None:
    assert "Invoice 100001" in printed(seller=Party(), buyer=Party())
