"""A document as an HTML page: it has the content of the PDF, escaped."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.billing.currencies import get_currency
from app.billing.enums import BillingUnit
from app.documents.document import DocumentLine, FrozenDocument, Party, PrecedingInvoice
from app.documents.html_page import make_html
from app.documents.printed_lines import InvoiceLine, LineResource, ProjectSection, print_lines
from app.documents.texts import choose_texts
from tests.support.documents import credit_note_of, make_document, make_line

HOSTILE = "<script>alert('x')</script> & \"Co\""


def html(document: FrozenDocument, lines: Sequence[DocumentLine]) -> str:
    texts = choose_texts(document.language, "en")
    return make_html(document, print_lines(document, lines, texts), texts)


def page_of(*lines: DocumentLine, **values: Any) -> str:
    return html(make_document(lines, **values), lines)


def test_the_page_contains_all_details() -> None:
    line = make_line(
        name="Virtual machine", project_name="Climate", unit_price=Decimal(2469),
        quantity=Decimal("0.5"),
    )  # fmt: skip
    page = page_of(line, tax_percent=Decimal(20))
    shown = [
        *("Invoice 100001", "October 2026", "Nov 1, 2026", "Dec 1, 2026", "04011000-12345-34"),
        *("Institut für Beispiele &amp; Söhne", "Musterweg 5", "07743 Jena", "Germany"),
        *("Põhjala Cloud OÜ", "Ülikooli 1", "B-osa", "Example Bank", "EE38 2200 2210 2014 5685"),
        *("Climate", "Virtual machine", ">0.5<", ">month<", ">2,469.00<", ">1,234.50<"),
        *(">246.90<", ">1,481.40<", "€1,234.50", "Tax, 20%", "€246.90", "€1,481.40"),
        *("All amounts in EUR.", "Thank you."),
        '<a href="https://pay.example.com/100001">',
    ]
    assert [text for text in shown if text not in page] == []
    assert "Compensation" not in page
    assert "may add up differently" not in page


def test_a_page_is_in_the_language_of_its_customer() -> None:
    page = page_of(make_line(), language="de")
    assert '<html lang="de">' in page
    assert "Rechnung 100001" in page
    assert "Nettobetrag" in page


def test_a_credit_note_names_its_invoice_and_asks_for_nothing() -> None:
    line = make_line()
    page = html(credit_note_of(make_document([line])), [line])
    assert "<h1>Credit note CN-1</h1>" in page
    assert "<dt>Corrects invoice</dt><dd>100001 of Nov 1, 2026</dd>" in page
    assert "The amount is credited to you. Nothing is to be paid." in page
    assert "href" not in page


@pytest.mark.parametrize(
    ("gross", "is_paid", "sentence"),
    [
        ("12", False, "The amount is credited to you. Nothing is to be paid."),
        ("12", True, "The invoice was already paid. The amount is owed to you."),
        ("0", True, "Nothing is to be paid."),
        ("-12", False, "The sum in your favour falls by the amount. Nothing is to be paid."),
        ("-12", True, "The invoice was already settled. You owe the amount."),
    ],
)
def test_a_credit_note_says_who_owes_its_amount(gross: str, is_paid: bool, sentence: str) -> None:
    preceding = PrecedingInvoice(number=1, issue_date=date(2026, 11, 1), is_paid=is_paid)
    note = credit_note_of(make_document(gross=Decimal(gross)))
    assert f"<p>{sentence}</p>" in html(replace(note, preceding=preceding), [])


def test_compensations_and_subtotals_are_labelled() -> None:
    page = page_of(
        make_line(1, project_name="Climate"),
        make_line(2, project_name="Climate", name="Outage", unit_price=Decimal(-2), credit=True),
        make_line(3, name="Support"),
        compensations=Decimal(-2),
    )
    assert '<div class="credit">Compensation</div>' in page
    assert '<th scope="row">Charges</th><td class="number">€20.00</td>' in page
    assert page.index("Climate") < page.index("Other items</th>") < page.index("Support")
    assert "Other items, without tax" in page


def test_a_long_document_is_summed_up() -> None:
    lines = [make_line(number, offering_name="Compute") for number in range(2001)]
    page = page_of(*lines)
    assert "This document has 2,001 items, too many to list here." in page
    assert '<td class="what">Compute</td>' in page
    assert '<td class="number">2,001</td>' in page


@pytest.mark.parametrize(
    ("unit", "word"),
    [(BillingUnit.HALF_MONTH, "half month"), (BillingUnit.DAY, "day"), (BillingUnit.QUANTITY, "")],
)
def test_units_are_words_unless_a_unit_is_measured(unit: BillingUnit, word: str) -> None:
    assert f">{word}</td>" in page_of(make_line(unit=unit))
    assert ">GB-hours</td>" in page_of(make_line(unit=unit, measured_unit="GB-hours"))


def test_an_invoice_that_charges_nothing_says_so() -> None:
    page = page_of()
    assert "Nothing is charged." in page
    assert "<thead>" not in page


@pytest.mark.parametrize(
    ("number", "cost", "shown"),
    [
        (12, "0.034", "12 items of 0.00 are not listed; without rounding they come to 0.034."),
        (1, "-0.0004", "1 item of 0.00 is not listed; without rounding it comes to -0.0004."),
        (2000, "0E-20", "2,000 items of 0.00 are not listed; without rounding they come to 0.00."),
    ],
)
def test_items_that_are_not_listed_are_counted_at_the_end(
    number: int, cost: str, shown: str
) -> None:
    page = page_of(make_line(), hidden_items=number, hidden_cost=Decimal(cost))
    assert page.index('class="grand"') < page.index(shown)
    assert "not listed" not in page_of(make_line())


def test_the_largest_amounts_have_all_digits() -> None:
    page = page_of(
        make_line(
            price=Decimal("80152415692881908983.73"),
            quantity=Decimal("123456789012.1234567891"),
            unit_price=Decimal("649234500.0000000001"),
        )
    )
    assert "80,152,415,692,881,908,983.73" in page
    assert "123,456,789,012.1234567891" in page


def test_markup_in_names_is_escaped() -> None:
    party = Party(name=HOSTILE, address=HOSTILE, email=HOSTILE, vat_code=HOSTILE, country="<i>")
    line = make_line(name=HOSTILE, project_name=HOSTILE, measured_unit=HOSTILE)
    page = page_of(
        line, buyer=party, seller=party, note=HOSTILE, payment_url="javascript:alert('x')"
    )
    assert "<script" not in page
    assert "<i>" not in page
    assert "&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt; &amp; &#34;Co&#34;" in page
    assert 'href="javascript' not in page


def test_characters_that_the_fonts_of_the_pdf_lack_stay() -> None:
    assert "Ørsted 🚀" in page_of(make_line(), buyer=Party(name="Ørsted 🚀"))


_LINE = InvoiceLine("P", "a", Decimal(1), Decimal(0), get_currency("EUR"))
_resources = st.one_of(
    st.none(), st.builds(LineResource, st.sampled_from("123"), st.sampled_from(["web", "db"]))
)


@given(st.lists(st.tuples(st.sampled_from(["a", "b"]), _resources)))
def test_lines_of_resources_with_the_same_name_show_the_uuid(
    lines: list[tuple[str, LineResource | None]],
) -> None:
    printed = [replace(_LINE, name=name, resource=resource) for name, resource in lines]
    section = ProjectSection("P", printed)
    shown = list(section.lines_with_resources())
    assert [line for line, _ in shown] == section.lines
    for line, text in shown:
        alike = [other for other in shown if other[0].name == line.name]
        differs = [other for other in alike if other[0].resource != line.resource]
        assert all(text != other for _, other in differs)
        assert bool(text) == bool(differs and line.resource)
