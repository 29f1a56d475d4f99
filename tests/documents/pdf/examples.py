"""Made-up documents to print."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import ROUND_HALF_UP, Decimal
from typing import Any
from uuid import UUID

from pydantic import TypeAdapter

from app.billing.enums import BillingUnit
from app.documents.document import (
    DocumentKind,
    DocumentLine,
    FrozenDocument,
    Party,
    PrecedingInvoice,
)

SELLER = Party(
    name="Example Cloud OÜ",
    vat_code="EE100000000",
    registration_code="10000000",
    address="Pärnu mnt 1",
    city="Tallinn",
    postal="10141",
    country="EE",
    email="billing@cloud.example",
    phone_number="+372 600 0000",
    bank_name="Example Bank",
    bank_account="EE38 2200 2210 2014 5685",
    bic="EXAMEE2X",
)
SWISS_SELLER = replace(
    SELLER,
    name="Example Cloud AG",
    vat_code="CHE123456788",
    address="Bahnhofstrasse 1",
    city="Zürich",
    postal="8001",
    country="CH",
    bank_account="CH93 0076 2011 6238 5295 7",
    bic="",
)
BUYER = Party(
    name="Musterwerk GmbH",
    vat_code="DE123456789",
    address="Musterstraße 5\nHinterhaus",
    city="Berlin",
    postal="10115",
    country="DE",
    email="rechnung@musterwerk.example",
)


def line(number: int = 1, **changes: Any) -> DocumentLine:
    """Return a line of a virtual machine for the whole of October 2026."""
    values: dict[str, Any] = {
        "uuid": UUID(int=number),
        "name": f"Virtual machine {number}",
        "unit_price": Decimal("0.0125"),
        "quantity": Decimal(744),
        "price": Decimal("9.30"),
        "unit": BillingUnit.HOUR,
        "start": datetime(2026, 10, 1, tzinfo=UTC),
        "end": datetime(2026, 10, 31, 23, 59, 59, tzinfo=UTC),
        "project_name": "Website",
        "resource_name": f"vm-{number}",
        "resource_uuid": UUID(int=1000 + number),
        "offering_name": "Virtual machines",
    }
    return DocumentLine(**(values | changes))


def lines(count: int) -> list[DocumentLine]:
    """Return lines of five projects."""
    return [line(number, project_name=f"Project {number % 5}") for number in range(count)]


def document(items: Sequence[DocumentLine] = (), **changes: Any) -> FrozenDocument:
    """Return an invoice over the lines, with tax of 20 %."""
    net = sum((each.price for each in items), Decimal(0))
    percent = changes.get("tax_percent", Decimal(20))
    smallest = Decimal(1) if changes.get("currency") == "JPY" else Decimal("0.01")
    values: dict[str, Any] = {
        "kind": DocumentKind.INVOICE,
        "uuid": UUID(int=1),
        "number": 100001,
        "issue_date": date(2026, 11, 1),
        "due_date": date(2026, 12, 1),
        "year": 2026,
        "month": 10,
        "period_start": date(2026, 10, 1),
        "period_end": date(2026, 10, 31),
        "currency": "EUR",
        "tax_percent": percent,
        "net": net,
        "gross": (net * (100 + percent) / 100).quantize(smallest, ROUND_HALF_UP),
        "compensations": sum((each.price for each in items if each.credit), Decimal(0)),
        "items": sum(1 for each in items if each.price),
        "seller": SELLER,
        "buyer": BUYER,
    }
    return FrozenDocument(**(values | changes))


def credit_note(items: Sequence[DocumentLine], **changes: Any) -> FrozenDocument:
    """Return a credit note over the lines of invoice 100001."""
    values: dict[str, Any] = {
        "kind": DocumentKind.CREDIT_NOTE,
        "number": 1,
        "due_date": None,
        "preceding": PrecedingInvoice(number=100001, issue_date=date(2026, 11, 1)),
        "reason": "Outage of 3 October",
    }
    return document(items, **(values | changes))


def as_json(frozen: FrozenDocument, items: Sequence[DocumentLine]) -> tuple[bytes, Sequence[bytes]]:
    """Return a document and its lines in batches, as they are stored."""
    batches = [items[start : start + 500] for start in range(0, len(items), 500)]
    dump = TypeAdapter(Any).dump_json
    return dump(frozen), [dump(batch) for batch in batches]
