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

MAX_LISTED_LINES: Final = 2_000
"""The most lines that are listed one by one. Above, they are summed up."""
MAX_SUMMARY_LINES: Final = 1_000
"""The most lines of a summary; the rest is summed up in one more line of each kind."""

_GroupKey = tuple[bool, str, str, bool, bool]
_Kind = tuple[bool, bool]


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


def is_summed_up(document: FrozenDocument) -> bool:
    """Return whether a document has too many lines to list each."""
    return document.items > MAX_LISTED_LINES


def print_lines(
    document: FrozenDocument, lines: Iterable[DocumentLine], texts: Texts
) -> list[InvoiceLine]:
    """Return the lines of the printed document: each with a price, or their sums."""
    if not is_summed_up(document):
        return _list_lines(document, lines, texts)
    summary = LineSummary(document, texts)
    summary.add(lines)
    return summary.lines()


def _list_lines(
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


class LineSummary:
    """Sums up lines while they are read, in little memory however many there are.

    There is a line per project and offering, and per project and name of compensations. Above
    `MAX_SUMMARY_LINES`, one more line sums up the services, one the taxes charged by the provider,
    and one the compensations.
    """

    def __init__(self, document: FrozenDocument, texts: Texts) -> None:
        self._tax_percent = document.tax_percent
        self._currency = get_currency(document.currency)
        self._texts = texts
        self._groups: dict[_GroupKey, InvoiceLine] = {}
        self._rest: dict[_Kind, InvoiceLine] = {}

    def add(self, lines: Iterable[DocumentLine]) -> None:
        """Add lines. Those with a price of zero are left out."""
        _ = self._texts.gettext
        for line in lines:
            if not line.price:
                continue
            # Compensations keep their own name, which states their reason.
            name = line.name if line.credit else line.offering_name or _("Other services")
            one = InvoiceLine(
                project=line.project_name,
                name=name,
                price=line.price,
                tax_percent=self._tax_percent,
                currency=self._currency,
                credit=line.credit,
                is_provider_tax=line.is_provider_tax,
            )
            key = (*_project_order(one), name, line.credit, line.is_provider_tax)
            self._groups[key] = _add(self._groups[key], one) if key in self._groups else one
            if len(self._groups) > 2 * MAX_SUMMARY_LINES:
                self._move_rest()

    def lines(self) -> list[InvoiceLine]:
        """Return the lines of the summary, in the order of their names."""
        self._move_rest()
        return [*self._groups.values(), *(self._rest[kind] for kind in sorted(self._rest))]

    def _move_rest(self) -> None:
        """Keep the first groups. A later group only moves the others farther back."""
        keys = sorted(self._groups)
        for key in keys[MAX_SUMMARY_LINES:]:
            group = self._groups[key]
            kind = (group.credit, group.is_provider_tax and not group.credit)
            if kind in self._rest:
                self._rest[kind] = _add(self._rest[kind], group)
            else:
                self._rest[kind] = self._name_rest(group)
        self._groups = {key: self._groups[key] for key in keys[:MAX_SUMMARY_LINES]}

    def _name_rest(self, group: InvoiceLine) -> InvoiceLine:
        _ = self._texts.gettext
        if group.credit:
            name = _("Compensations")
        elif group.is_provider_tax:
            name = _("Taxes")
        else:
            name = _("Services")
        return replace(group, project=_("Further items"), name=name)


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
