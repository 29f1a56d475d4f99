"""Mails in the languages of the catalogues."""

from dataclasses import replace
from datetime import date
from decimal import Decimal

import pytest

from app.documents.document import FrozenDocument, PrecedingInvoice
from app.settings import Settings
from tests.notifications.examples import body, compose
from tests.support.documents import credit_note_of, make_document, make_line

INVOICE = make_document([make_line()], number=100112)
NOTE = replace(
    credit_note_of(INVOICE),
    preceding=PrecedingInvoice(number=100112, issue_date=date(2026, 11, 1), is_paid=True),
)


@pytest.fixture
def settings() -> Settings:
    """Settings without a database: composing needs none."""
    return Settings(database_url="postgresql://nowhere/none", redis_url="redis://nowhere")


def test_a_german_mail_is_german_throughout(settings: Settings) -> None:
    message = compose(settings, replace(INVOICE, language="de"))
    assert (
        body(message, "plain").replace("\xa0", " ")
        == """\
Põhjala Cloud OÜ

Rechnung 100112 für Oktober 2026
12,40 €, fällig am 01.12.2026

Guten Tag,

die Rechnung an Institut für Beispiele & Söhne für Oktober 2026 wurde ausgestellt.

Online bezahlen: https://pay.example.com/100001

Kunde: Institut für Beispiele & Söhne
Rechnungsdatum: 01.11.2026
Nettobetrag: 10,00 €
Umsatzsteuer 24 %: 2,40 €
Bank: Example Bank
Konto: EE38 2200 2210 2014 5685

--
Als Rechnungskontakt von Institut für Beispiele & Söhne erhalten Sie diese Nachricht.
Fragen? Schreiben Sie an billing@example.com.
"""
    )
    html = body(message, "html")
    assert '<html lang="de">' in html
    assert "Fällig am <strong>01.12.2026</strong>" in html


def test_an_english_credit_note_names_its_invoice(settings: Settings) -> None:
    message = compose(settings, NOTE)
    assert message["Subject"] == (
        "Credit note CN-1 on invoice 100112 for Institut für Beispiele & Söhne, October 2026"
    )
    assert (
        body(message, "plain")
        == """\
Põhjala Cloud OÜ

Credit note CN-1 on invoice 100112
€12.40. The invoice was already paid. The amount is owed to you.

Dear customer,

the credit note CN-1 on invoice 100112 of Institut für Beispiele & Söhne has been issued.

Customer: Institut für Beispiele & Söhne
Date: Nov 1, 2026
Corrects invoice: 100112 of Nov 1, 2026
Reason: Ordered by mistake.
Total without tax: €10.00
Tax, 24%: €2.40

--
You receive this message for Institut für Beispiele & Söhne, as its billing contact.
Questions? Write to billing@example.com.
"""
    )


@pytest.mark.parametrize(
    ("language", "subjects"),
    [
        ("de", ("Rechnung 100112 für", "zu Ihren Gunsten", "nichts zu zahlen")),
        ("fr", ("Facture 100112 pour", "en votre faveur", "rien à payer")),
        ("et", ("Arve 100112:", "teie kasuks", "midagi ei ole vaja tasuda")),
        ("fi", ("Lasku 100112:", "teidän hyväksenne", "ei maksettavaa")),
    ],
)
def test_the_language_of_the_customer_goes_before_the_locale(
    settings: Settings, language: str, subjects: tuple[str, ...]
) -> None:
    begin, *ends = subjects
    settings = settings.model_copy(update={"locale": "en_GB"})
    for gross, end in zip((Decimal(-6), Decimal(0)), ends, strict=True):
        document = replace(INVOICE, language=language, gross=gross)
        subject = compose(settings, document)["Subject"]
        assert subject.startswith(begin)
        assert subject.endswith(f", {end}")


@pytest.mark.parametrize("document", [INVOICE, NOTE])
def test_without_a_language_the_locale_decides(
    settings: Settings, document: FrozenDocument
) -> None:
    german = settings.model_copy(update={"locale": "de_AT"})
    assert "Guten Tag," in body(compose(german, document), "plain")
    dutch = settings.model_copy(update={"locale": "nl"})
    plain = body(compose(dutch, document), "plain")
    assert "Dear customer," in plain
    assert "oktober 2026" in plain or "1 nov 2026" in plain
