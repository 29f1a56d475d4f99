"""The lines of a printed invoice: an item each, or sums of items where there are too many."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from app.billing import money
from app.billing.currencies import Currency


@dataclass(frozen=True, slots=True)
class LineResource:
    """The resource of a line. Resources may share a name."""

    uuid: str
    name: str


@dataclass(frozen=True, slots=True)
class InvoiceLine:
    """One item of the invoice, or the sum of several items."""

    project: str | None
    """The name of the project; None for an item without project."""
    name: str
    price: Decimal
    """Without tax; negative for a compensation."""
    tax_percent: Decimal
    currency: Currency
    resource: LineResource | None = None
    credit: bool = False
    is_provider_tax: bool = False
    """Whether the line is tax charged by the provider, such as a tax row of a FOCUS bill."""
    quantity: Decimal | None = None
    unit: str = ""
    unit_price: Decimal | None = None
    start: date | None = None
    end: date | None = None
    items: int = 1
    """The number of items that the line sums up."""

    @property
    def tax(self) -> Decimal:
        """The tax of the line, rounded to the currency's decimals as in the API."""
        return money.round_half_even(money.tax_on(self.price, self.tax_percent), self.currency)

    @property
    def total(self) -> Decimal:
        """The price with tax, rounded to the currency's decimals as in the API."""
        return money.round_half_even(money.with_tax(self.price, self.tax_percent), self.currency)


@dataclass(frozen=True, slots=True)
class ProjectSection:
    """The lines of one project, or those without project."""

    project: str | None
    lines: list[InvoiceLine]

    @property
    def price(self) -> Decimal:
        """The sum of the lines' prices, without tax."""
        return sum((line.price for line in self.lines), Decimal(0))

    def lines_with_resources(self) -> Iterator[tuple[InvoiceLine, str]]:
        """Yield each line with a text that identifies its resource, which is usually empty.

        If lines share a name but not the resource, the text is the resource's name, followed by its
        UUID if two of these resources share their name, too.
        """
        resources_by_line_name: dict[str, set[LineResource | None]] = {}
        for line in self.lines:
            resources_by_line_name.setdefault(line.name, set()).add(line.resource)
        resource_name_counts = Counter(
            (name, resource.name)
            for name, resources in resources_by_line_name.items()
            for resource in resources
            if resource
        )
        for line in self.lines:
            resource = line.resource
            if resource is None or len(resources_by_line_name[line.name]) == 1:
                yield line, ""
            elif resource.uuid and resource_name_counts[line.name, resource.name] > 1:
                yield line, f"{resource.name} ({resource.uuid})"
            else:
                yield line, resource.name


def divide_by_project(lines: Iterable[InvoiceLine]) -> list[ProjectSection]:
    """Return the lines by project, in the order of first appearance."""
    sections: dict[str | None, ProjectSection] = {}
    for line in lines:
        sections.setdefault(line.project, ProjectSection(line.project, [])).lines.append(line)
    return list(sections.values())
