"""The data before a load: customers with invoices to pay, notify, annotate and leave untouched.

It is a file for `import`, so that any version of the service can read it.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from hashlib import sha256
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

from app import clock
from app.billing.periods import Period, due_date

CUSTOMERS = 60
"""The default number of customers."""
_MONTHS_TO_PAY = 8
_MONTHS_TO_NOTIFY = 4
_MONTHS_TO_ANNOTATE = 1
_MONTHS_TO_CREDIT = 4
_ITEMS = ("10.15", "3.3333", "0.004")
PRICES = (Decimal("0.01"), Decimal("3.34"), Decimal("10.15"))
"""The prices of the items of each invoice, rounded away from zero to cents."""
TOTAL = Decimal("16.20")
"""The total of each invoice, with 20 % of tax."""
CREDITED_NET, CREDITED_GROSS = Decimal("0.05"), Decimal("0.06")
"""The sums of each credit note, without and with tax: a small part of an item."""
_EARLY = "2024-01-01T00:00:00Z"


@dataclass(frozen=True, slots=True)
class SampleInvoice:
    """An issued invoice and the recipients of its notification."""

    uuid: UUID
    recipients: tuple[str, ...]
    items: tuple[UUID, ...] = ()
    """The most expensive one first."""


@dataclass(frozen=True)
class Dataset:
    """The invoices by their use; each has one use."""

    headers: Mapping[str, str]
    """The request headers of a staff user."""
    to_pay: tuple[SampleInvoice, ...]
    to_notify: tuple[SampleInvoice, ...]
    to_annotate: tuple[SampleInvoice, ...]
    to_credit: tuple[SampleInvoice, ...]
    """None unless the load credits invoices."""
    untouched: tuple[SampleInvoice, ...]
    untouched_period: Period
    """The month of the untouched invoices, which has no others."""
    records: tuple[Mapping[str, Any], ...]

    @property
    def all(self) -> tuple[SampleInvoice, ...]:
        """All invoices."""
        return self.to_pay + self.to_notify + self.to_annotate + self.to_credit + self.untouched

    def write(self, place: Path) -> Path:
        """Write the import file to the folder and return its path."""
        file = place / "dataset.jsonl"
        file.write_text("".join(json.dumps(record) + "\n" for record in self.records))
        return file


@dataclass
class _Records:
    """The records in an order in which each follows those it references."""

    records: list[Mapping[str, Any]] = field(default_factory=list)

    def add(self, kind: str, **values: Any) -> UUID:
        uuid = uuid4()
        named = {name: str(v) if isinstance(v, UUID) else v for name, v in values.items()}
        self.records.append({"kind": kind, "uuid": str(uuid), **named})
        return uuid

    def customer(self, name: str, emails: tuple[str, ...]) -> UUID:
        customer = self.add(
            "customer",
            name=name,
            email="billing@example.com",
            country="EE",
            default_tax_percent="20",
            created_at=_EARLY,
            accounting_start_date=_EARLY,
        )
        self.add("payment_profile", customer=customer, payment_type="invoices")
        for email in emails:
            owner = self.add("user", username=email, email=email, created_at=_EARLY)
            self.add(
                "customer_role", user=owner, customer=customer, role="owner", created_at=_EARLY
            )
        return customer

    def invoice(self, customer: UUID, period: Period) -> tuple[UUID, tuple[UUID, ...]]:
        """Add an invoice and its items; return their UUIDs."""
        issued = period.shifted(1).first_day
        invoice = self.add(
            "invoice",
            customer=customer,
            year=period.year,
            month=period.month,
            state="created",
            tax_percent="20",
            created=period.first_day.isoformat(),
            invoice_date=issued.isoformat(),
            due_date=due_date(issued, 30).isoformat(),
        )
        items = tuple(
            self.add(
                "invoice_item",
                invoice=invoice,
                name=f"Item of {price}",
                unit_price=price,
                quantity="1",
                unit="quantity",
                start=period.start.isoformat(),
                end=period.end.isoformat(),
            )
            for price in _ITEMS
        )
        return invoice, items


def create_dataset(number_of_customers: int = CUSTOMERS, *, with_credits: bool = False) -> Dataset:
    """Create customers, each with an invoice for each of the last months.

    With `with_credits`, some of the invoices are to be credited.
    """
    to_be_credited = _MONTHS_TO_CREDIT if with_credits else 0
    months = (_MONTHS_TO_PAY, _MONTHS_TO_NOTIFY, _MONTHS_TO_ANNOTATE, to_be_credited, 1)
    uses = [use for use, number in enumerate(months) for _ in range(number)]
    last = Period.containing(clock.today()).shifted(-1)
    key = uuid4().hex
    records = _Records()
    staff = records.add("user", username="staff", is_staff=True, created_at=_EARLY)
    records.add("token", user=staff, digest=sha256(key.encode()).hexdigest(), created_at=_EARLY)
    subjects: tuple[list[SampleInvoice], ...] = tuple([] for _ in months)
    for number in range(number_of_customers):
        emails = tuple(f"owner-{number}-{i}@example.com" for i in range(1 + number % 2))
        customer = records.customer(f"Customer {number:03}", emails)
        for back, use in enumerate(uses):
            invoice, items = records.invoice(customer, last.shifted(-back))
            subjects[use].append(SampleInvoice(invoice, emails, items))
    to_pay, to_notify, to_annotate, to_credit, untouched = map(_shuffled, subjects)
    return Dataset(
        {"Authorization": f"Token {key}"},
        to_pay,
        to_notify,
        to_annotate,
        to_credit,
        untouched,
        last.shifted(1 - len(uses)),
        tuple(records.records),
    )


def _shuffled(subjects: list[SampleInvoice]) -> tuple[SampleInvoice, ...]:
    # Neighbours belong to different customers; otherwise they would wait for the customer's sums.
    return tuple(sorted(subjects, key=lambda subject: subject.uuid))
