"""What the database holds before a fault: customers with invoices to pay, to mail and to mark."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import insert

from app import clock
from app.billing.periods import Period, due_date
from app.billing.vocabulary import BillingUnit, InvoiceState
from app.database.engine import Database
from app.history.adopting import adopt
from app.invoices.tables import Invoice, InvoiceItem
from app.settings import DatabaseSettings
from tests.support.factories import Factories, Row
from tests.support.history import KEY

CUSTOMERS = 60
"""By default."""
_MONTHS_TO_PAY = 8
_MONTHS_TO_NOTIFY = 4
_MONTHS = _MONTHS_TO_PAY + _MONTHS_TO_NOTIFY + 1
_ITEMS = ("10.15", "3.3333", "0.004")
PRICES = (Decimal("0.01"), Decimal("3.34"), Decimal("10.15"))
"""Of the items of each invoice: rounded away from zero to cents."""
TOTAL = Decimal("16.20")
"""Of each invoice, with 20 % of tax."""


@dataclass(frozen=True, slots=True)
class Subject:
    """An invoice that was issued, and what is known of it."""

    id: int
    uuid: UUID
    recipients: tuple[str, ...]


@dataclass(frozen=True)
class Ground:
    """The invoices by what is done with them; each is used for one thing."""

    headers: dict[str, str]
    """Those of a member of staff."""
    to_pay: tuple[Subject, ...]
    to_notify: tuple[Subject, ...]
    to_annotate: tuple[Subject, ...]

    @property
    def all(self) -> tuple[Subject, ...]:
        """Every invoice."""
        return self.to_pay + self.to_notify + self.to_annotate


async def lay_ground(url: str, number_of_customers: int = CUSTOMERS) -> Ground:
    """Fill an empty database, in one transaction."""
    database = Database(DatabaseSettings(database_url=url))
    try:
        async with database.transaction() as connection:
            make = Factories(connection)
            staff = await make.staff()
            customers, recipients = [], {}
            for number in range(number_of_customers):
                customer = await make.customer(name=f"Customer {number:03}")
                customers.append(customer)
                await make.profile(customer)
                emails = tuple(f"owner-{number}-{i}@example.com" for i in range(1 + number % 2))
                for email in emails:
                    await make.owner(customer, email=email)
                recipients[customer.id] = emails
            rows = [_invoice(customer, month) for customer in customers for month in range(_MONTHS)]
            made = await connection.execute(
                insert(Invoice).returning(Invoice.id, Invoice.uuid, Invoice.customer_id), rows
            )
            subjects = {
                UUID(str(row.uuid)): Subject(row.id, row.uuid, recipients[row.customer_id])
                for row in made
            }
            items = [_item(subject, price) for subject in subjects.values() for price in _ITEMS]
            await connection.execute(insert(InvoiceItem), items)
        # They were written past the service, which records what it changes.
        await adopt(database, KEY, "the ground of a fault")
    finally:
        await database.close()
    uses: list[list[Subject]] = [[], [], []]
    for number, row in enumerate(rows):
        month = number % _MONTHS
        use = (month >= _MONTHS_TO_PAY) + (month == _MONTHS - 1)
        uses[use].append(subjects[row["uuid"]])
    return Ground(staff.headers, *map(_mixed, uses))


def _invoice(customer: Row, month: int) -> dict[str, Any]:
    period = Period.of(clock.today()).shifted(-1 - month)
    issued = period.shifted(1).first_day
    return {
        "uuid": uuid4(),
        "customer_id": customer.id,
        "year": period.year,
        "month": period.month,
        "state": InvoiceState.CREATED,
        "tax_percent": Decimal(20),
        "created": period.first_day,
        "invoice_date": issued,
        "due_date": due_date(issued, 30),
    }


def _item(subject: Subject, price: str) -> dict[str, Any]:
    period = Period.of(clock.today())
    return {
        "uuid": uuid4(),
        "invoice_id": subject.id,
        "name": f"Item of {price}",
        "unit_price": Decimal(price),
        "quantity": Decimal(1),
        "unit": BillingUnit.QUANTITY,
        "start": period.start,
        "end": period.end,
    }


def _mixed(subjects: list[Subject]) -> tuple[Subject, ...]:
    # Neighbours are of different customers, whose sums they would otherwise wait for.
    return tuple(sorted(subjects, key=lambda subject: subject.uuid))
