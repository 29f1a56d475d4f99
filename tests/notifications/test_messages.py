"""The rendered message: headers, text, HTML and the attached invoice."""

from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.billing.currencies import get_currency
from app.documents.printed_lines import InvoiceLine, LineResource, ProjectSection
from app.notifications.invoice_view import CustomerDetails
from app.settings import IssuerDetails, Settings
from tests.notifications.examples import EUR, body, compose, document, fields, statement

HOSTILE = "<script>alert('x')</script> & \"Co\""


def _line(**changes: Any) -> InvoiceLine:
    return InvoiceLine(**fields(statement().lines[0]) | changes)


@pytest.fixture
def settings() -> Settings:
    """Settings without a database: composing needs none."""
    return Settings(database_url="postgresql://nowhere/none", redis_url="redis://nowhere")


def test_replies_go_to_the_issuer(settings: Settings) -> None:
    issuer = IssuerDetails(name="Nördlich OÜ", email="help@issuer.example")
    settings = settings.model_copy(
        update={"issuer_details": issuer, "mail_from": "Nördlich <no-reply@issuer.example>"}
    )
    message = compose(settings, statement())
    assert message["Reply-To"] == "help@issuer.example"
    assert message["From"] == "Nördlich <no-reply@issuer.example>"
    assert b"=?utf-8?q?N=C3=B6rdlich?= <no-reply@issuer.example>" in message.as_bytes()


def test_replies_go_to_each_address_of_the_issuer(settings: Settings) -> None:
    issuer = IssuerDetails(name="Issuer", email="help@issuer.example; desk 3; ap@issuer.example")
    message = compose(settings.model_copy(update={"issuer_details": issuer}), statement())
    assert message["Reply-To"] == "help@issuer.example, ap@issuer.example"


def test_a_customer_whose_name_is_abbreviated_ends_no_sentence(settings: Settings) -> None:
    invoice = statement()
    invoice = replace(invoice, customer=replace(invoice.customer, name="Kettle & Sons Ltd."))
    message = compose(settings, invoice)
    for text in (body(message, "plain"), body(message, "html")):
        assert "Ltd.." not in text


def test_the_document_contains_all_details(settings: Settings) -> None:
    issuer = IssuerDetails(
        name="Northern Cloud",
        address="Ülikooli 18\nTartu",
        country="EE",
        bank_name="LHV",
        bank_account="EE38 2200",
        vat_code="EE100594102",
    )
    page = document(settings.model_copy(update={"issuer_details": issuer}), statement())
    shown = [
        *("Invoice 100112", "October 2026", "Nov 1, 2026", "Dec 1, 2026", "RF18 5390"),
        *("Institute", "Street 1", "10115", "Estonia", "VAT EE999"),
        *("Northern Cloud", "Ülikooli 18\nTartu", "VAT EE100594102", "LHV", "EE38 2200"),
        *("Climate", "Virtual machine", ">0.5<", ">month<", ">2,469.00<", ">1,234.50<"),
        *(">246.90<", ">1,481.40<", "€1,234.50", "Tax, 20%", "€246.90", "€1,481.40"),
        "All amounts in EUR.",
        '<a href="https://pay.example/100112?a=1&amp;b=2">',
    ]
    assert [text for text in shown if text not in page] == []
    assert "Compensation" not in page
    assert "may add up differently" not in page


def test_amounts_and_dates_follow_the_locale(settings: Settings) -> None:
    german = settings.model_copy(update={"locale": "de", "currency": get_currency("CHF")})
    message = compose(german, statement())
    for text in (body(message, "plain"), body(message, "html"), document(german, statement())):
        assert "1.481,40\xa0CHF" in text
        assert "01.12.2026" in text
        assert "Oktober 2026" in text


@pytest.mark.parametrize(
    ("code", "total", "nothing", "shown"),
    [("JPY", "1360", "0", "¥1,360"), ("BHD", "1360.125", "0.000", "BHD\u00a01,360.125")],
)
def test_amounts_have_the_decimals_of_their_currency(
    settings: Settings, code: str, total: str, nothing: str, shown: str
) -> None:
    amount = Decimal(total)
    line = _line(price=amount, tax_percent=Decimal(0), currency=get_currency(code))
    invoice = statement(
        lines=[line],
        tax_percent=Decimal(0),
        price=amount,
        total=amount,
        hidden_items=2,
        hidden_cost=Decimal("0.00005"),
    )
    settings = settings.model_copy(update={"currency": get_currency(code)})
    message = compose(settings, invoice)
    for text in (body(message, "plain"), body(message, "html"), document(settings, invoice)):
        assert shown in text
    page = document(settings, invoice)
    assert f"All amounts in {code}." in page
    assert f"2 items of {nothing} are not listed; without rounding they come to 0.00005." in page


def test_the_largest_amounts_have_all_digits(settings: Settings) -> None:
    (line,) = statement().lines
    huge = replace(
        line,
        price=Decimal("80152415692881908983.73"),
        quantity=Decimal("123456789012.1234567891"),
        unit_price=Decimal("649234500.0000000001"),
        tax_percent=Decimal(0),
    )
    invoice = statement(
        lines=[huge], price=huge.price, total=huge.price, tax_percent=Decimal(0),
        compensations=Decimal(0),
    )  # fmt: skip
    message = compose(settings, invoice)
    written = "80,152,415,692,881,908,983.73"
    assert f"€{written}" in body(message, "plain")
    assert written in document(settings, invoice)
    assert "123,456,789,012.1234567891" in document(settings, invoice)


def test_compensations_are_labelled(settings: Settings) -> None:
    lines = [
        InvoiceLine("Climate", "Machine", Decimal(10), Decimal(20), EUR),
        InvoiceLine("Climate", "Outage", Decimal("-2.50"), Decimal(20), EUR, credit=True),
    ]
    lines = [
        InvoiceLine(**{**fields(line), "quantity": Decimal(1), "unit_price": line.price})
        for line in lines
    ]
    page = document(
        settings,
        statement(
            lines=lines,
            price=Decimal("7.50"),
            total=Decimal("9.00"),
            compensations=Decimal("-2.50"),
        ),
    )
    assert '<div class="credit">Compensation</div>' in page
    charges = page.index('<th scope="row">Charges</th>')
    assert "€10.00" in page[charges:]
    assert "-€2.50" in page[charges:]
    assert "€7.50" in page[charges:]


def test_taxes_that_do_not_add_up_are_explained(settings: Settings) -> None:
    line = InvoiceLine(
        "P", "I", Decimal("0.01"), Decimal(20), EUR, quantity=Decimal(1), unit_price=Decimal(1)
    )
    invoice = statement(lines=[line] * 3, price=Decimal("0.03"), total=Decimal("0.04"))
    assert "may add up differently" in document(settings, invoice)


def test_a_part_of_the_month_is_shown(settings: Settings) -> None:
    line = InvoiceLine(**{**fields(statement().lines[0]), "end": date(2026, 10, 17)})
    assert "Oct 1, 2026 \u2013 Oct 17, 2026" in document(settings, statement(lines=[line]))
    assert "Oct 31" not in document(settings, statement())


def test_one_day_is_printed_once(settings: Settings) -> None:
    day = date(2026, 10, 17)
    page = document(settings, statement(lines=[_line(start=day, end=day)]))
    assert page.count("Oct 17, 2026") == 1
    assert "\u2013" not in page


def test_lines_with_the_same_name_show_their_resource(settings: Settings) -> None:
    lines = [
        _line(name="Hours", resource=LineResource("1", "web-1")),
        _line(name="Hours", resource=LineResource("2", "web-2")),
        _line(name="Disk", resource=LineResource("3", "disk-1")),
        _line(name="Hours", resource=LineResource("4", "web-3"), project="Another"),
    ]
    page = document(settings, statement(lines=lines))
    assert [name for name in ("web-1", "web-2", "disk-1", "web-3") if name in page] == [
        "web-1",
        "web-2",
    ]


_resources = st.one_of(
    st.none(), st.builds(LineResource, st.sampled_from("123"), st.sampled_from(["web", "db"]))
)


@given(st.lists(st.tuples(st.sampled_from(["a", "b"]), _resources)))
def test_lines_of_resources_with_the_same_name_show_the_uuid(
    lines: list[tuple[str, LineResource | None]],
) -> None:
    section = ProjectSection("P", [_line(name=name, resource=resource) for name, resource in lines])
    shown = list(section.lines_with_resources())
    assert [line for line, _ in shown] == section.lines
    for line, text in shown:
        alike = [other for other in shown if other[0].name == line.name]
        differs = [other for other in alike if other[0].resource != line.resource]
        assert all(text != other for _, other in differs)
        assert bool(text) == bool(differs and line.resource)


def test_items_without_project_have_their_own_heading(settings: Settings) -> None:
    lines = [_line(project="Climate"), _line(project=None, name="Support")]
    page = document(settings, statement(lines=lines))
    assert page.index("Climate") < page.index("Other items</th>") < page.index("Support")
    assert "Other items, without tax" in page
    for absent in ("N/A", "None"):
        assert absent not in page


def test_without_any_project_there_is_no_heading(settings: Settings) -> None:
    page = document(settings, statement(lines=[_line(project=None)]))
    assert 'class="project"' not in page
    assert "Other items" not in page


@pytest.mark.parametrize(
    ("number", "cost", "shown"),
    [
        (12, "0.034", "12 items of 0.00 are not listed; without rounding they come to 0.034."),
        (1, "-0.0004", "1 item of 0.00 is not listed; without rounding it comes to -0.0004."),
        (2000, "0E-20", "2,000 items of 0.00 are not listed; without rounding they come to 0.00."),
    ],
)
def test_items_that_are_not_listed_are_counted_at_the_end(
    settings: Settings, number: int, cost: str, shown: str
) -> None:
    invoice = statement(hidden_items=number, hidden_cost=Decimal(cost))
    page = document(settings, invoice)
    assert page.index('class="grand"') < page.index(shown)
    assert "not listed" not in document(settings, statement())


_BANK = IssuerDetails(name="Northern Cloud", bank_name="LHV", bank_account="EE38 2200")
_ASKS = ("Due", "due on", "Dec 1, 2026", "LHV", "EE38 2200", "pay.example", "Pay online")
"""The parts of a text that asks for a payment."""


def test_an_invoice_in_the_customers_favour_asks_for_nothing(settings: Settings) -> None:
    invoice = statement(lines=[_line(price=Decimal(-5))], price=Decimal(-5), total=Decimal(-6))
    settings = settings.model_copy(update={"issuer_details": _BANK})
    message = compose(settings, invoice)
    assert message["Subject"] == "Invoice 100112 for Institute, October 2026, in your favour"
    plain, html = body(message, "plain"), body(message, "html")
    page = document(settings, invoice)
    assert "€6.00 in your favour. Nothing is to be paid.\n" in plain
    assert "<strong>In your favour.</strong> Nothing is to be paid." in html
    assert "The total is in your favour. Nothing is to be paid." in page
    assert "<dt>In your favour</dt><dd>€6.00</dd>" in page
    assert '<th scope="row">Total</th><td class="number">-€6.00</td>' in page
    for text in (plain, html, page):
        assert [word for word in (*_ASKS, "Amount due") if word in text] == []
        assert "RF18 5390" in text


def test_an_invoice_of_zero_asks_for_nothing(settings: Settings) -> None:
    lines = [_line(price=Decimal(5)), _line(price=Decimal(-5), credit=True)]
    invoice = statement(
        lines=lines, price=Decimal(0), total=Decimal(0), compensations=Decimal(-5), state="paid"
    )
    settings = settings.model_copy(update={"issuer_details": _BANK})
    message = compose(settings, invoice)
    assert message["Subject"] == "Invoice 100112 for Institute, October 2026, nothing to pay"
    plain, html = body(message, "plain"), body(message, "html")
    page = document(settings, invoice)
    assert "€0.00. Nothing is to be paid.\n" in plain
    assert "Nothing is to be paid." in html
    assert "Nothing is to be paid." in page
    for text in (plain, html, page):
        assert [word for word in (*_ASKS, "favour") if word in text] == []
        assert "€5.00" in text
        assert "-€5.00" in text


def test_an_invoice_that_charges_nothing_says_so(settings: Settings) -> None:
    page = document(settings, statement(lines=[], price=Decimal(0), total=Decimal(0)))
    assert "Nothing is charged." in page
    assert "Description" not in page


def test_an_invoice_above_zero_asks_for_payment(settings: Settings) -> None:
    settings = settings.model_copy(update={"issuer_details": _BANK})
    message = compose(settings, statement())
    assert message["Subject"] == "Invoice 100112 for Institute, October 2026"
    assert "€1,481.40, due on Dec 1, 2026\n" in body(message, "plain")
    for text in (body(message, "plain"), body(message, "html"), document(settings, statement())):
        for word in ("LHV", "EE38 2200", "Dec 1, 2026", "pay.example"):
            assert word in text


def test_a_missing_date_is_not_printed(settings: Settings) -> None:
    invoice = statement(due_date=None)
    message = compose(settings, invoice)
    for text in (body(message, "plain"), body(message, "html"), document(settings, invoice)):
        for word in ("due on", "Due on", "Due date"):
            assert word not in text


@pytest.mark.parametrize("summed_up", [False, True])
def test_provider_tax_is_labelled(settings: Settings, summed_up: bool) -> None:
    lines = [
        _line(name="Hours", price=Decimal(100), tax_percent=Decimal(0)),
        _line(name="VAT", price=Decimal(19), tax_percent=Decimal(0), is_provider_tax=True),
        _line(project="Z", price=Decimal(1), tax_percent=Decimal(0)),
    ]
    invoice = statement(
        lines=lines,
        tax_percent=Decimal(0),
        price=Decimal(120),
        total=Decimal(120),
        provider_tax=Decimal(19),
        summed_up=summed_up,
    )
    message = compose(settings, invoice)
    page = document(settings, invoice)
    assert 'VAT<div class="when">Tax charged by the provider</div>' in page
    assert '<th scope="row">Charges</th><td class="number">€101.00</td>' in page
    assert '<th scope="row">Tax charged by the provider</th><td class="number">€19.00</td>' in page
    assert "Climate, sum</td>" in page
    assert "Charges: €101.00\nTax charged by the provider: €19.00\n" in body(message, "plain")
    for text in (body(message, "plain"), body(message, "html"), page):
        assert "without tax" not in text
        assert "Tax, 0%" not in text
        assert ">Tax<" not in text


def test_tax_on_provider_tax_is_shown(settings: Settings) -> None:
    invoice = statement(
        lines=[_line(price=Decimal(119), is_provider_tax=True)],
        price=Decimal(119),
        total=Decimal("142.80"),
        provider_tax=Decimal(19),
    )
    page = document(settings, invoice)
    assert "without tax" not in page
    assert '<th scope="row">Tax, 20%</th><td class="number">€23.80</td>' in page
    assert ">Tax<" in page


def test_markup_in_names_is_escaped(settings: Settings) -> None:
    line = InvoiceLine(
        HOSTILE, HOSTILE, Decimal(1), Decimal(20), EUR, quantity=Decimal(1), unit_price=Decimal(1)
    )
    invoice = statement(
        customer=CustomerDetails(HOSTILE, HOSTILE, HOSTILE, "<i>", HOSTILE, HOSTILE, HOSTILE),
        lines=[line],
        reference_number=HOSTILE,
        payment_url="javascript:alert('x')",
    )
    settings = settings.model_copy(update={"issuer_details": IssuerDetails(name=HOSTILE)})
    message = compose(settings, invoice)
    for page in (body(message, "html"), document(settings, invoice)):
        assert "<script" not in page
        assert "<i>" not in page
        assert "&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt; &amp; &#34;Co&#34;" in page
        assert 'href="javascript' not in page
    assert HOSTILE in body(message, "plain")


@pytest.mark.parametrize("line_break", ["\r\n", "\n", "\r", "\u2028", "\x0b", "\x85"])
def test_names_cannot_add_headers_or_lines(settings: Settings, line_break: str) -> None:
    name = f"Firm{line_break}Bcc: everyone@example.com{line_break}{line_break}Hello"
    customer = CustomerDetails(name, "", "", "", "", "", "")
    message = compose(settings, statement(customer=customer))
    assert message["Bcc"] is None
    assert message["Subject"] == (
        "Invoice 100112 for Firm Bcc: everyone@example.com Hello, October 2026"
    )
    headers, _, _ = message.as_string().partition("\n\n")
    assert "\nBcc" not in headers
    assert "Customer: Firm Bcc: everyone@example.com Hello\n" in body(message, "plain")


def test_a_long_name_is_truncated(settings: Settings) -> None:
    customer = CustomerDetails("x" * 100_000, "", "", "", "", "", "")
    message = compose(settings, statement(customer=customer))
    assert len(message["Subject"]) <= 300
    assert len(message.as_bytes()) < 40_000
