"""The invoice as its customer sees it: plain values, without I/O and formatting."""

from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from app.billing.periods import Period
from app.documents.printed_lines import InvoiceLine, ProjectSection, divide_by_project
from app.invoices.states import notifiable_states
from app.settings import IssuerDetails


@dataclass(frozen=True, slots=True)
class CustomerDetails:
    """The addressee of the invoice; unknown values are empty."""

    name: str
    address: str
    postal: str
    country: str
    """A two-letter code of ISO 3166."""
    email: str
    phone_number: str
    vat_code: str


@dataclass(frozen=True, slots=True)
class InvoiceView:
    """An invoice as the customer sees it. Amounts are in the deployment's currency."""

    number: int
    state: str
    period: Period
    invoice_date: date | None
    due_date: date | None
    payment_url: str
    reference_number: str
    tax_percent: Decimal
    price: Decimal
    """The sum of all prices, without tax."""
    total: Decimal
    """The amount to pay: the price with tax, rounded once."""
    compensations: Decimal
    """The part of `price` from compensations; usually zero or negative."""
    provider_tax: Decimal | None
    """The part of `price` that is tax charged by the provider; None without such items."""
    items: int
    """The number of items with a price other than zero, which are listed."""
    hidden_items: int
    """The number of items with a price of zero, which are not listed."""
    hidden_cost: Decimal
    """The exact sum of unit price times quantity of the hidden items."""
    customer: CustomerDetails
    issuer: IssuerDetails | None
    """The issuer at the issue; None if the invoice has no document."""
    lines: list[InvoiceLine]
    summed_up: bool
    """Whether lines sum up several items, because there are too many to list."""

    @property
    def tax(self) -> Decimal:
        """The tax on the whole invoice; price and tax add up to the total."""
        return self.total - self.price

    @property
    def charges(self) -> Decimal:
        """The part of `price` without compensations and the provider's tax."""
        return self.price - self.compensations - (self.provider_tax or 0)

    @property
    def asks_for_payment(self) -> bool:
        """Whether the customer has to pay something."""
        return self.total > 0

    @property
    def in_favour(self) -> Decimal:
        """The amount owed to the customer; usually zero."""
        return max(-self.total, Decimal(0))

    @property
    def may_be_sent(self) -> bool:
        """Whether the invoice is in a state in which its customer is notified."""
        return self.state in notifiable_states(self.total)

    @property
    def has_tax_columns(self) -> bool:
        """Whether lines show their tax; not if all tax is charged by the provider."""
        return self.provider_tax is None or self.tax_percent != 0

    @property
    def taxes_of_lines_differ(self) -> bool:
        """Whether the rounded taxes of the lines do not add up to the tax on the invoice."""
        return sum((line.tax for line in self.lines), Decimal(0)) != self.tax

    @property
    def sections(self) -> list[ProjectSection]:
        """The lines by project, in the order of first appearance."""
        return divide_by_project(self.lines)
