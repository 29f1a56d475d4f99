"""The rendered message: headers, text and HTML."""

from decimal import Decimal

import pytest

from app.documents.document import Party
from app.settings import IssuerDetails, Settings
from tests.notifications.examples import body, compose, statement

HOSTILE = "<script>alert('x')</script> & \"Co\""


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


@pytest.mark.parametrize("language", ["en", "de", "fr", "et", "fi"])
def test_a_customer_whose_name_is_abbreviated_ends_no_sentence(
    settings: Settings, language: str
) -> None:
    invoice = statement(buyer=Party(name="Kettle & Sons Ltd."), language=language)
    message = compose(settings, invoice)
    for text in (body(message, "plain"), body(message, "html")):
        assert "Ltd.." not in text


def test_amounts_and_dates_follow_the_locale(settings: Settings) -> None:
    german = settings.model_copy(update={"locale": "de"})
    message = compose(german, statement(currency="CHF"))
    for text in (body(message, "plain"), body(message, "html")):
        assert "1.481,40\xa0CHF" in text
        assert "01.12.2026" in text
        assert "Oktober 2026" in text


@pytest.mark.parametrize(
    ("code", "total", "shown"),
    [
        ("JPY", "1360", "¥1,360"),
        ("BHD", "1360.125", "BHD\u00a01,360.125"),
        ("EUR", "80152415692881908983.73", "€80,152,415,692,881,908,983.73"),
    ],
)
def test_amounts_have_the_decimals_of_their_currency(
    settings: Settings, code: str, total: str, shown: str
) -> None:
    amount = Decimal(total)
    invoice = statement(currency=code, tax_percent=Decimal(0), net=amount, gross=amount)
    message = compose(settings, invoice)
    for text in (body(message, "plain"), body(message, "html")):
        assert shown in text


_BANK = Party(name="Northern Cloud", bank_name="LHV", bank_account="EE38 2200")
_ASKS = ("Due", "due on", "Dec 1, 2026", "LHV", "EE38 2200", "pay.example", "Pay online")
"""The parts of a text that asks for a payment."""


def test_an_invoice_in_the_customers_favour_asks_for_nothing(settings: Settings) -> None:
    invoice = statement(net=Decimal(-5), gross=Decimal(-6), seller=_BANK)
    message = compose(settings, invoice)
    assert message["Subject"] == "Invoice 100112 for Institute, October 2026, in your favour"
    plain, html = body(message, "plain"), body(message, "html")
    assert "€6.00 in your favour. Nothing is to be paid.\n" in plain
    assert "<strong>In your favour.</strong> Nothing is to be paid." in html
    for text in (plain, html):
        assert [word for word in (*_ASKS, "Amount due") if word in text] == []
        assert "RF18 5390" in text


def test_an_invoice_of_zero_asks_for_nothing(settings: Settings) -> None:
    invoice = statement(net=Decimal(0), gross=Decimal(0), compensations=Decimal(-5), seller=_BANK)
    message = compose(settings, invoice)
    assert message["Subject"] == "Invoice 100112 for Institute, October 2026, nothing to pay"
    plain, html = body(message, "plain"), body(message, "html")
    assert "€0.00. Nothing is to be paid.\n" in plain
    assert "Nothing is to be paid." in html
    for text in (plain, html):
        assert [word for word in (*_ASKS, "favour") if word in text] == []
        assert "€5.00" in text
        assert "-€5.00" in text


def test_an_invoice_above_zero_asks_for_payment(settings: Settings) -> None:
    message = compose(settings, statement(seller=_BANK))
    assert message["Subject"] == "Invoice 100112 for Institute, October 2026"
    assert "€1,481.40, due on Dec 1, 2026\n" in body(message, "plain")
    assert "Due on <strong>Dec 1, 2026</strong>" in body(message, "html")
    for text in (body(message, "plain"), body(message, "html")):
        for word in ("LHV", "EE38 2200", "Dec 1, 2026", "pay.example"):
            assert word in text


def test_a_missing_date_is_not_printed(settings: Settings) -> None:
    message = compose(settings, statement(due_date=None))
    for text in (body(message, "plain"), body(message, "html")):
        for word in ("due on", "Due on", "Due date"):
            assert word not in text


def test_provider_tax_is_labelled(settings: Settings) -> None:
    invoice = statement(
        tax_percent=Decimal(0), net=Decimal(120), gross=Decimal(120), provider_tax=Decimal(19)
    )
    message = compose(settings, invoice)
    assert "Charges: €101.00\nTax charged by the provider: €19.00\n" in body(message, "plain")
    for text in (body(message, "plain"), body(message, "html")):
        assert "without tax" not in text
        assert "Tax, 0%" not in text


def test_markup_in_names_is_escaped(settings: Settings) -> None:
    invoice = statement(
        buyer=Party(name=HOSTILE),
        seller=Party(name=HOSTILE, email=HOSTILE),
        reference_number=HOSTILE,
        payment_url="javascript:alert('x')",
    )
    message = compose(settings, invoice)
    page = body(message, "html")
    assert "<script" not in page
    assert "&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt; &amp; &#34;Co&#34;" in page
    assert 'href="javascript' not in page
    assert HOSTILE in body(message, "plain")


@pytest.mark.parametrize("line_break", ["\r\n", "\n", "\r", "\u2028", "\x0b", "\x85"])
def test_names_cannot_add_headers_or_lines(settings: Settings, line_break: str) -> None:
    name = f"Firm{line_break}Bcc: everyone@example.com{line_break}{line_break}Hello"
    message = compose(settings, statement(buyer=Party(name=name)))
    assert message["Bcc"] is None
    assert message["Subject"] == (
        "Invoice 100112 for Firm Bcc: everyone@example.com Hello, October 2026"
    )
    headers, _, _ = message.as_string().partition("\n\n")
    assert "\nBcc" not in headers
    assert "Customer: Firm Bcc: everyone@example.com Hello\n" in body(message, "plain")


def test_a_long_name_is_truncated(settings: Settings) -> None:
    message = compose(settings, statement(buyer=Party(name="x" * 100_000)))
    assert len(message["Subject"]) <= 300
    assert len(message.as_bytes()) < 40_000
