"""What an invoice tells its reader, as values: no I/O, no formatting."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from app.billing import money
from app.billing.currencies import Currency
from app.billing.periods import Period
from app.invoices.states import notifiable_states


@dataclass(frozen=True, slots=True)
class CustomerDetails:
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
class LineResource:
    """What a line is charged for; its name need not be its alone."""

    uuid: str
    name: str


@dataclass(frozen=True, slots=True)
class InvoiceLine:
    """One item of the invoice, or several summed up."""

    project: str | None
    """The name of the project; None for what belongs to none."""
    name: str
    price: Decimal
    """Without tax; negative for what is given back."""
    tax_percent: Decimal
    currency: Currency
    resource: LineResource | None = None
    credit: bool = False
    is_provider_tax: bool = False
    """Whether the line is tax that the provider has charged, such as a row of a FOCUS bill."""
    quantity: Decimal | None = None
    unit: str = ""
    unit_price: Decimal | None = None
    start: date | None = None
    end: date | None = None
    items: int = 1
    """How many items of the invoice stand behind the line."""

    @property
    def tax(self) -> Decimal:
        """The tax of the line in the currency's decimals, as the API has it."""
        return money.round_half_even(money.tax_on(self.price, self.tax_percent), self.currency)

    @property
    def total(self) -> Decimal:
        """The price with its tax in the currency's decimals, as the API has it."""
        return money.round_half_even(money.with_tax(self.price, self.tax_percent), self.currency)


@dataclass(frozen=True, slots=True)
class ProjectSection:
    """The lines of one project, or of none."""

    project: str | None
    lines: list[InvoiceLine]

    @property
    def price(self) -> Decimal:
        """The sum of the lines' prices, without tax."""
        return sum((line.price for line in self.lines), Decimal(0))

    def lines_with_resources(self) -> Iterator[tuple[InvoiceLine, str]]:
        """Yield each line with the text that tells its resource; it is empty as a rule.

        Lines of one name that are of different resources tell them: by the name of the resource,
        and by its UUID as well where another one of these has the same name.
        """
        alike: dict[str, set[LineResource | None]] = {}
        for line in self.lines:
            alike.setdefault(line.name, set()).add(line.resource)
        namesakes = Counter(
            (name, resource.name)
            for name, resources in alike.items()
            for resource in resources
            if resource
        )
        for line in self.lines:
            resource = line.resource
            if resource is None or len(alike[line.name]) == 1:
                yield line, ""
            elif resource.uuid and namesakes[line.name, resource.name] > 1:
                yield line, f"{resource.name} ({resource.uuid})"
            else:
                yield line, resource.name


@dataclass(frozen=True, slots=True)
class InvoiceView:
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
    """What is to be paid: the price with its tax, rounded once."""
    compensations: Decimal
    """The part of `price` that gives back: zero or negative as a rule."""
    provider_tax: Decimal | None
    """The part of `price` that is tax of the provider; None where no item is such tax."""
    items: int
    """Items that are listed: those whose price is not zero."""
    hidden_items: int
    """Items whose price is zero."""
    hidden_cost: Decimal
    """The exact sum of unit price times quantity over the hidden items."""
    customer: CustomerDetails
    lines: list[InvoiceLine]
    summed_up: bool
    """Whether the lines stand for several items each, since the items are too many to list."""

    @property
    def tax(self) -> Decimal:
        """The tax on the whole invoice, so that price and tax add up to the total."""
        return self.total - self.price

    @property
    def charges(self) -> Decimal:
        """The part of `price` that is charged, without any tax."""
        return self.price - self.compensations - (self.provider_tax or 0)

    @property
    def asks_for_payment(self) -> bool:
        """Whether there is something to be paid."""
        return self.total > 0

    @property
    def in_favour(self) -> Decimal:
        """What the invoice owes to the customer; zero as a rule."""
        return max(-self.total, Decimal(0))

    @property
    def may_be_sent(self) -> bool:
        """Whether the invoice is one to mail: created, or of zero, which was paid when issued."""
        return self.state in notifiable_states(self.total)

    @property
    def has_tax_columns(self) -> bool:
        """Whether lines show a tax of their own; not where all tax is the provider's."""
        return self.provider_tax is None or self.tax_percent != 0

    @property
    def taxes_of_lines_differ(self) -> bool:
        """Whether the lines' taxes, each rounded by itself, miss the tax on the whole."""
        return sum((line.tax for line in self.lines), Decimal(0)) != self.tax

    @property
    def sections(self) -> list[ProjectSection]:
        """The lines by project, in the order of their first appearance."""
        found: dict[str | None, ProjectSection] = {}
        for line in self.lines:
            found.setdefault(line.project, ProjectSection(line.project, [])).lines.append(line)
        return list(found.values())
