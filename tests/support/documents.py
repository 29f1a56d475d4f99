"""Frozen documents for tests: made-up parties, and sums that fit the lines."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

from app.billing.currencies import get_currency
from app.billing.enums import BillingUnit
from app.billing.money import item_price, round_half_up, with_tax
from app.documents.document import (
    DocumentKind,
    DocumentLine,
    FrozenDocument,
    Party,
    PrecedingInvoice,
)

SELLER: Final = Party(
    name="Põhjala Cloud OÜ",
    vat_code="EE123456789",
    registration_code="12345678",
    registration_scheme="0191",
    endpoint="EE123456789",
    endpoint_scheme="9931",
    address="Ülikooli 1\nB-osa",
    city="Tartu",
    postal="51003",
    country="EE",
    contact_name="Accounts",
    phone_number="+372 555 0100",
    email="billing@example.com",
    bank_name="Example Bank",
    bank_account="EE38 2200 2210 2014 5685",
    bic="HABAEE2X",
    account_holder="Põhjala Cloud",
)
BUYER: Final = Party(
    name="Institut für Beispiele & Söhne",
    vat_code="DE136695976",
    registration_code="HRB 1234",
    endpoint="991-33333TEST-33",
    endpoint_scheme="0204",
    address="Musterweg 5",
    city="Jena",
    postal="07743",
    country="de",
    contact_name="Einkauf",
    phone_number="+49 3641 555010",
    email="einkauf@example.com",
)


def make_line(number: int = 1, **values: Any) -> DocumentLine:
    """Return a line; the price is that of its quantity and unit price, unless it is given."""
    fields: dict[str, Any] = {
        "uuid": UUID(int=number),
        "name": f"Service {number}",
        "unit_price": Decimal(10),
        "quantity": Decimal(1),
        "unit": BillingUnit.MONTH,
        "start": datetime(2026, 10, 1, tzinfo=UTC),
        "end": datetime(2026, 10, 31, 23, 59, 59, 999999, tzinfo=UTC),
    } | values
    currency = get_currency(fields.pop("currency", "EUR"))
    fields.setdefault("price", item_price(fields["unit_price"], fields["quantity"], currency))
    return DocumentLine(**fields)


def make_document(lines: Iterable[DocumentLine] = (), **values: Any) -> FrozenDocument:
    """Return a document with the sums of its lines."""
    fields: dict[str, Any] = {
        "kind": DocumentKind.INVOICE,
        "uuid": UUID(int=100001),
        "number": 100001,
        "issue_date": date(2026, 11, 1),
        "due_date": date(2026, 12, 1),
        "year": 2026,
        "month": 10,
        "period_start": date(2026, 10, 1),
        "period_end": date(2026, 10, 31),
        "currency": "EUR",
        "tax_percent": Decimal(24),
        "buyer_reference": "04011000-12345-34",
        "order_reference": "PO-77",
        "agreement_number": "C-2026/3",
        "note": "Thank you.",
        "payment_url": "https://pay.example.com/100001",
        "seller": SELLER,
        "buyer": BUYER,
    } | values
    prices = [line.price for line in lines]
    fields.setdefault("net", sum(prices, Decimal(0)))
    fields.setdefault("items", sum(price != 0 for price in prices))
    gross = with_tax(fields["net"], fields["tax_percent"])
    fields.setdefault("gross", round_half_up(gross, get_currency(fields["currency"])))
    return FrozenDocument(**fields)


Example = tuple[FrozenDocument, Sequence[DocumentLine]]


def plain() -> Example:
    """Document A: an hour's price and a month's price."""
    lines = [
        make_line(
            1,
            name="Virtual machine",
            unit_price=Decimal("0.05"),
            quantity=Decimal(744),
            unit=BillingUnit.HOUR,
            article_code="VM-1",
            project_name="Genome <1>",
            resource_name='node "a"',
            offering_name="Compute",
            plan_name="Standard",
        ),
        make_line(2, name="Support", unit_price=Decimal(20)),
    ]
    return make_document(lines), lines


def hard() -> Example:
    """Document B: ten decimals, negative prices and quantities, a rate with two decimals."""
    rows: list[tuple[str, str, dict[str, Any]]] = [
        ("731487077.5388", "0.0000000523", {"measured_unit": "B"}),
        ("731.4870775388", "0.0183456789", {"measured_unit": "GB"}),
        ("33.3333333333", "0.3333333333", {"measured_unit": "cores"}),
        ("1", "-12.3456789012", {"credit": True}),
        ("-10.5", "0.0183456789", {"unit": BillingUnit.HALF_MONTH}),
        ("0.5", "7.7777777777", {"unit": BillingUnit.QUANTITY}),
        ("3", "0", {}),
    ]
    lines = [
        make_line(number, unit_price=Decimal(price), quantity=Decimal(quantity), **values)
        for number, (quantity, price, values) in enumerate(rows, start=1)
    ]
    return make_document(
        lines, tax_percent=Decimal("19.25"), reference_number="RF18539007547034"
    ), lines


def refunds() -> Example:
    """Document C: a credit note for items that gave back, with their signs turned."""
    lines = [
        make_line(1, name="Refund", unit_price=Decimal("0.05"), quantity=Decimal(744)),
        make_line(2, name="Refund of support", unit_price=Decimal(20)),
    ]
    return credit_note_of(make_document(lines)), lines


def whole_credit() -> Example:
    """Document D: a credit note for the whole of document B, with the signs of B."""
    document, lines = hard()
    return credit_note_of(document), lines


def credit_note_of(document: FrozenDocument) -> FrozenDocument:
    """Return a document as a credit note of itself."""
    return replace(
        document,
        kind=DocumentKind.CREDIT_NOTE,
        number=1,
        due_date=None,
        payment_url="",
        preceding=PrecedingInvoice(number=100001, issue_date=date(2026, 11, 1)),
        reason="Ordered by mistake.",
    )


EXAMPLES: Final = {
    "plain": plain,
    "hard": hard,
    "refunds": refunds,
    "whole-credit": whole_credit,
}
