"""The lines of a printed invoice: an item each, or sums of items where there are too many."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from typing import Final

from app.billing import money
from app.billing.currencies import Currency, get_currency
from app.billing.enums import BillingUnit
from app.documents.document import DocumentLine, FrozenDocument
from app.documents.texts import Texts

MAX_SUMMARY_LINES: Final = 1_000
"""The most lines of a summary; the rest is summed up in one more line of each kind."""


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


def print_lines(
    document: FrozenDocument, lines: Iterable[DocumentLine], texts: Texts
) -> list[InvoiceLine]:
    """Return a line for each line of the document with a price, those without project last."""
    currency = get_currency(document.currency)
    units = _unit_names(texts)
    printed = [
        InvoiceLine(
            project=line.project_name,
            name=line.name,
            price=line.price,
            tax_percent=document.tax_percent,
            currency=currency,
            resource=(
                LineResource(str(line.resource_uuid or ""), line.resource_name)
                if line.resource_name
                else None
            ),
            credit=line.credit,
            is_provider_tax=line.is_provider_tax,
            quantity=line.quantity,
            unit=line.measured_unit or units[line.unit],
            unit_price=line.unit_price,
            start=line.start.date(),
            end=line.end.date(),
        )
        for line in lines
        if line.price
    ]
    return sorted(printed, key=_project_order)


def sum_up_lines(
    document: FrozenDocument, lines: Iterable[DocumentLine], texts: Texts
) -> list[InvoiceLine]:
    """Return a line per project and offering, and per project and name of compensations.

    From `MAX_SUMMARY_LINES` on, one line sums up the services, one the compensations, and one the
    taxes charged by the provider.
    """
    _ = texts.gettext
    currency = get_currency(document.currency)
    groups: dict[tuple[str | None, str, bool, bool], InvoiceLine] = {}
    for line in lines:
        if not line.price:
            continue
        # Compensations keep their own name, which states their reason.
        name = line.name if line.credit else line.offering_name or _("Other services")
        key = (line.project_name, name, line.credit, line.is_provider_tax)
        one = InvoiceLine(
            project=line.project_name,
            name=name,
            price=line.price,
            tax_percent=document.tax_percent,
            currency=currency,
            credit=line.credit,
            is_provider_tax=line.is_provider_tax,
        )
        groups[key] = _add(groups[key], one) if key in groups else one
    ordered = sorted(
        groups.values(), key=lambda line: (*_project_order(line), line.name, line.credit)
    )
    rest: dict[str, InvoiceLine] = {}
    for group in ordered[MAX_SUMMARY_LINES:]:
        if group.credit:
            name = _("Compensations")
        elif group.is_provider_tax:
            name = _("Taxes")
        else:
            name = _("Services")
        if name in rest:
            rest[name] = _add(rest[name], group)
        else:
            rest[name] = replace(group, project=_("Further items"), name=name)
    return ordered[:MAX_SUMMARY_LINES] + list(rest.values())


def _project_order(line: InvoiceLine) -> tuple[bool, str]:
    return line.project is None, line.project or ""


def _add(total: InvoiceLine, line: InvoiceLine) -> InvoiceLine:
    return replace(total, price=total.price + line.price, items=total.items + line.items)


def _unit_names(texts: Texts) -> dict[BillingUnit, str]:
    _ = texts.gettext
    return {
        BillingUnit.MONTH: _("month"),
        BillingUnit.QUARTER: _("quarter"),
        BillingUnit.HALF_MONTH: _("half month"),
        BillingUnit.DAY: _("day"),
        BillingUnit.HOUR: _("hour"),
        BillingUnit.QUANTITY: "",
    }
