"""What an invoice tells its reader, as values: no I/O, no formatting."""

from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from app.billing import money
from app.billing.periods import Period


@dataclass(frozen=True, slots=True)
class Customer:
    """Whom the invoice is addressed to; what is not known is empty."""

    name: str
    address: str
    postal: str
    country: str
    """Two letters, ISO 3166."""
    email: str
    phone_number: str
    vat_code: str


@dataclass(frozen=True, slots=True)
class Line:
    """One item of the invoice, or several summed up."""

    project: str
    name: str
    price: Decimal
    """Without tax, in cents; negative for what is given back."""
    tax_percent: Decimal
    credit: bool = False
    quantity: Decimal | None = None
    unit: str = ""
    unit_price: Decimal | None = None
    start: date | None = None
    end: date | None = None
    items: int = 1
    """How many items of the invoice stand behind the line."""

    @property
    def tax(self) -> Decimal:
        """The tax of the line in cents, as the API tells it."""
        return money.half_even(money.tax_on(self.price, self.tax_percent))

    @property
    def total(self) -> Decimal:
        """The price with its tax in cents, as the API tells it."""
        return money.half_even(money.with_tax(self.price, self.tax_percent))


@dataclass(frozen=True, slots=True)
class Section:
    """The lines of one project."""

    project: str
    lines: list[Line]

    @property
    def price(self) -> Decimal:
        """The sum of the lines' prices, without tax."""
        return sum((line.price for line in self.lines), Decimal(0))


@dataclass(frozen=True, slots=True)
class Statement:
    """An invoice as it is told to the customer. Amounts are in the deployment's currency."""

    number: int
    state: str
    period: Period
    invoice_date: date | None
    due_date: date | None
    payment_url: str
    reference_number: str
    tax_percent: Decimal
    price: Decimal
    """All prices, without tax."""
    total: Decimal
    """What is to be paid: the price with its tax, rounded to cents once."""
    compensations: Decimal
    """The part of `price` that gives back: zero or negative as a rule."""
    items: int
    customer: Customer
    lines: list[Line]
    summed_up: bool
    """Whether the lines stand for several items each, since the items are too many to list."""

    @property
    def tax(self) -> Decimal:
        """The tax on the whole invoice, so that price and tax add up to the total."""
        return self.total - self.price

    @property
    def charges(self) -> Decimal:
        """The part of `price` that is charged."""
        return self.price - self.compensations

    @property
    def taxes_of_lines_differ(self) -> bool:
        """Whether the lines' taxes, each rounded by itself, miss the tax on the whole."""
        return sum((line.tax for line in self.lines), Decimal(0)) != self.tax

    @property
    def sections(self) -> list[Section]:
        """The lines by project, in the order of their first appearance."""
        found: dict[str, Section] = {}
        for line in self.lines:
            found.setdefault(line.project, Section(line.project, [])).lines.append(line)
        return list(found.values())
