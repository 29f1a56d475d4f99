"""Invoices for a service under load, as a file to import: any version of the service reads it."""

import json
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

EARLY = "2025-01-01T00:00:00Z"
YEAR = 2025


@dataclass
class Books:
    """Issued invoices of a year: which of them are paid, annotated, notified of, or left alone."""

    key: str = field(default_factory=lambda: uuid4().hex)
    """Of a token of staff."""
    to_pay: list[UUID] = field(default_factory=list)
    to_annotate: list[UUID] = field(default_factory=list)
    to_notify: dict[UUID, str] = field(default_factory=dict)
    """The address that a notification goes to, of each."""
    untouched: list[UUID] = field(default_factory=list)
    records: list[dict[str, Any]] = field(default_factory=list)

    @property
    def headers(self) -> dict[str, str]:
        """The headers with which staff calls."""
        return {"Authorization": f"Token {self.key}"}

    def write(self, file: Path) -> None:
        """Write the file that is to be imported."""
        file.write_text("".join(json.dumps(record) + "\n" for record in self.records))

    def add(self, kind: str, **values: Any) -> UUID:
        """Add a record."""
        uuid = uuid4()
        self.records.append({"kind": kind, "uuid": str(uuid), **values})
        return uuid


def make_books(customers: int) -> Books:
    """Make invoices of customers, one for each month."""
    books = Books()
    staff = books.add("user", username="staff", is_staff=True, created_at=EARLY)
    digest = sha256(books.key.encode()).hexdigest()
    books.add("token", user=str(staff), digest=digest, created_at=EARLY)
    for number in range(customers):
        email = f"billing-{number}@example.com"
        customer = books.add(
            "customer",
            name=f"Customer {number}",
            email=email,
            created_at=EARLY,
            accounting_start_date=EARLY,
        )
        books.add("payment_profile", customer=str(customer), payment_type="invoices")
        for month in range(1, 13):
            invoice = _add_invoice(books, str(customer), month)
            if month <= 5:
                books.to_pay.append(invoice)
            elif month <= 7:
                books.to_annotate.append(invoice)
            elif month <= 10:
                books.to_notify[invoice] = email
            else:
                books.untouched.append(invoice)
    return books


def _add_invoice(books: Books, customer: str, month: int) -> UUID:
    day = f"{YEAR}-{month:02}-01"
    invoice = books.add(
        "invoice",
        customer=customer,
        year=YEAR,
        month=month,
        state="created",
        tax_percent="20",
        created=day,
        invoice_date=day,
        due_date=day,
    )
    for price in ("3.3333333333", "10"):
        books.add(
            "invoice_item",
            invoice=str(invoice),
            name="Virtual machine",
            unit_price=price,
            quantity="1.5",
            unit="hour",
            start=f"{day}T00:00:00Z",
            end=f"{day}T23:59:59Z",
        )
    return invoice
