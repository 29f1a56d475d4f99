"""What a recipient gets: headers, text, HTML and the attached invoice."""

from dataclasses import replace
from datetime import date
from decimal import Decimal

import pytest

from app.notifications.statement import Customer, Line
from app.settings import IssuerDetails, Settings
from tests.notifications.examples import body, compose, document, fields, statement

HOSTILE = "<script>alert('x')</script> & \"Co\""


@pytest.fixture
def settings() -> Settings:
    """Settings without a database: composing needs none."""
    return Settings(database_url="postgresql://nowhere/none", redis_url="redis://nowhere")


def test_answers_go_to_the_issuer(settings: Settings) -> None:
    issuer = IssuerDetails(name="Nördlich OÜ", email="help@issuer.example")
    settings = settings.model_copy(
        update={"issuer_details": issuer, "mail_from": "Nördlich <no-reply@issuer.example>"}
    )
    message = compose(settings, statement())
    assert message["Reply-To"] == "help@issuer.example"
    assert message["From"] == "Nördlich <no-reply@issuer.example>"
    assert b"=?utf-8?q?N=C3=B6rdlich?= <no-reply@issuer.example>" in message.as_bytes()


def test_a_customer_whose_name_is_abbreviated_ends_no_sentence(settings: Settings) -> None:
    invoice = statement()
    invoice = replace(invoice, customer=replace(invoice.customer, name="Kettle & Sons Ltd."))
    message = compose(settings, invoice)
    for text in (body(message, "plain"), body(message, "html")):
        assert "Ltd.." not in text


def test_the_document_tells_everything(settings: Settings) -> None:
    issuer = IssuerDetails(
        name="Northern Cloud",
        address="Ülikooli 18\nTartu",
        country="EE",
        bank_name="LHV",
        bank_account="EE38 2200",
        vat_code="EE100594102",
    )
    page = document(compose(settings.model_copy(update={"issuer_details": issuer}), statement()))
    told = [
        *("Invoice 100112", "October 2026", "Nov 1, 2026", "Dec 1, 2026", "RF18 5390"),
        *("Institute", "Street 1", "10115", "Estonia", "VAT EE999"),
        *("Northern Cloud", "Ülikooli 18\nTartu", "VAT EE100594102", "LHV", "EE38 2200"),
        *("Climate", "Virtual machine", ">0.5<", ">month<", ">2,469.00<", ">1,234.50<"),
        *(">246.90<", ">1,481.40<", "€1,234.50", "Tax, 20%", "€246.90", "€1,481.40"),
        '<a href="https://pay.example/100112?a=1&amp;b=2">',
    ]
    assert [text for text in told if text not in page] == []
    assert "Compensation" not in page
    assert "may add up differently" not in page


def test_amounts_and_dates_follow_the_locale(settings: Settings) -> None:
    german = settings.model_copy(update={"locale": "de", "currency": "CHF"})
    message = compose(german, statement())
    for text in (body(message, "plain"), body(message, "html"), document(message)):
        assert "1.481,40\xa0CHF" in text
        assert "01.12.2026" in text
        assert "Oktober 2026" in text


def test_compensations_are_told_apart(settings: Settings) -> None:
    lines = [
        Line("Climate", "Machine", Decimal(10), Decimal(20)),
        Line("Climate", "Outage", Decimal("-2.50"), Decimal(20), credit=True),
    ]
    lines = [
        Line(**{**fields(line), "quantity": Decimal(1), "unit_price": line.price}) for line in lines
    ]
    page = document(
        compose(
            settings,
            statement(
                lines=lines,
                price=Decimal("7.50"),
                total=Decimal("9.00"),
                compensations=Decimal("-2.50"),
            ),
        )
    )
    assert '<div class="credit">Compensation</div>' in page
    charges = page.index('<th scope="row">Charges</th>')
    assert "€10.00" in page[charges:]
    assert "-€2.50" in page[charges:]
    assert "€7.50" in page[charges:]


def test_taxes_that_do_not_add_up_are_explained(settings: Settings) -> None:
    line = Line("P", "I", Decimal("0.01"), Decimal(20), quantity=Decimal(1), unit_price=Decimal(1))
    invoice = statement(lines=[line] * 3, price=Decimal("0.03"), total=Decimal("0.04"))
    assert "may add up differently" in document(compose(settings, invoice))


def test_a_part_of_the_month_is_told(settings: Settings) -> None:
    line = Line(**{**fields(statement().lines[0]), "end": date(2026, 10, 17)})
    assert "Oct 1, 2026 \u2013 Oct 17, 2026" in document(compose(settings, statement(lines=[line])))
    assert "Oct 31" not in document(compose(settings, statement()))


def test_hostile_names_stay_text(settings: Settings) -> None:
    line = Line(
        HOSTILE, HOSTILE, Decimal(1), Decimal(20), quantity=Decimal(1), unit_price=Decimal(1)
    )
    invoice = statement(
        customer=Customer(HOSTILE, HOSTILE, HOSTILE, "<i>", HOSTILE, HOSTILE, HOSTILE),
        lines=[line],
        reference_number=HOSTILE,
        payment_url="javascript:alert('x')",
    )
    settings = settings.model_copy(update={"issuer_details": IssuerDetails(name=HOSTILE)})
    message = compose(settings, invoice)
    for page in (body(message, "html"), document(message)):
        assert "<script" not in page
        assert "<i>" not in page
        assert "&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt; &amp; &#34;Co&#34;" in page
        assert 'href="javascript' not in page
    assert HOSTILE in body(message, "plain")


@pytest.mark.parametrize("line_break", ["\r\n", "\n", "\r", "\u2028", "\x0b", "\x85"])
def test_names_cannot_add_headers_or_lines(settings: Settings, line_break: str) -> None:
    name = f"Firm{line_break}Bcc: everyone@example.com{line_break}{line_break}Hello"
    customer = Customer(name, "", "", "", "", "", "")
    message = compose(settings, statement(customer=customer))
    assert message["Bcc"] is None
    assert message["Subject"] == (
        "Invoice 100112 for Firm Bcc: everyone@example.com Hello, October 2026"
    )
    headers, _, _ = message.as_string().partition("\n\n")
    assert "\nBcc" not in headers
    assert "Customer: Firm Bcc: everyone@example.com Hello\n" in body(message, "plain")


def test_a_name_without_end_is_cut(settings: Settings) -> None:
    customer = Customer("x" * 100_000, "", "", "", "", "", "")
    message = compose(settings, statement(customer=customer))
    assert len(message["Subject"]) <= 300
    assert len(message.as_bytes()) < 40_000
