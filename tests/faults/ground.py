"""What the database holds before a fault: customers with invoices to pay, to mail and to mark."""

from dataclasses import dataclass
from decimal import Decimal
from uuid import UUID

from app import clock
from app.billing.periods import Period
from app.billing.vocabulary import InvoiceState
from app.database.engine import Database
from app.history.adopting import adopt
from app.settings import DatabaseSettings
from tests.support.factories import Factories, Row
from tests.support.history import KEY

CUSTOMERS = 60
"""By default."""
_MONTHS_TO_PAY = 8
_MONTHS_TO_NOTIFY = 4
_ITEMS = ("10.15", "3.3333", "0.004")


@dataclass(frozen=True, slots=True)
class Subject:
    """An invoice that was issued, and what is known of it."""

    id: int
    uuid: UUID
    customer: Row
    recipients: tuple[str, ...]
    total: Decimal
    """With tax."""


@dataclass(frozen=True)
class Ground:
    """The invoices by what is done with them; each is used for one thing."""

    headers: dict[str, str]
    """Those of a member of staff."""
    customers: tuple[Row, ...]
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
            customers = []
            subjects: list[list[Subject]] = [[], [], []]
            months = _MONTHS_TO_PAY + _MONTHS_TO_NOTIFY + 1
            running = Period.of(clock.today())
            for number in range(number_of_customers):
                customer = await make.customer(name=f"Customer {number:03}")
                customers.append(customer)
                await make.profile(customer)
                emails = tuple(f"owner-{number}-{i}@example.com" for i in range(1 + number % 2))
                for email in emails:
                    await make.owner(customer, email=email)
                for month in range(months):
                    period = running.shifted(-1 - month)
                    use = (month >= _MONTHS_TO_PAY) + (month == months - 1)
                    subjects[use].append(await _subject(make, customer, period, emails))
        # They were written past the service, which records what it changes.
        await adopt(database, KEY, "the ground of a fault")
    finally:
        await database.close()
    return Ground(staff.headers, tuple(customers), *map(_mixed, subjects))


async def _subject(
    make: Factories, customer: Row, period: Period, recipients: tuple[str, ...]
) -> Subject:
    invoice = await make.invoice(customer, period, InvoiceState.CREATED)
    for price in _ITEMS:
        await make.item(invoice, price, start=period.start, end=period.end)
    # Each line is rounded away from zero to cents: 10.15, 3.34, 0.01; and 20 % of tax.
    return Subject(invoice.id, invoice.uuid, customer, recipients, Decimal("16.20"))


def _mixed(subjects: list[Subject]) -> tuple[Subject, ...]:
    # Neighbours are of different customers, whose sums they would otherwise wait for.
    return tuple(sorted(subjects, key=lambda subject: subject.uuid))
