"""Maps a grouped bill to records."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from functools import cached_property, partial
from itertools import groupby
from operator import attrgetter
from typing import TypeVar
from uuid import UUID

from app.billing.currencies import get_currency
from app.billing.enums import ImportSource
from app.billing.periods import Period
from app.dataio.focus import identifiers
from app.dataio.focus.amounts import InvoiceAmounts, split_bill
from app.dataio.focus.billing_month import find_billing_month
from app.dataio.focus.categories import TAX
from app.dataio.focus.charge_groups import (
    Bill,
    ChargeGroup,
    ChargeGroupKey,
    InvoiceKey,
)
from app.dataio.focus.errors import FocusImportError
from app.dataio.focus.item_rows import OFFERING_TYPE, ItemRow, LineMapper, ResourceRow, shorten
from app.dataio.focus.missing_charges import InvoiceLine
from app.dataio.records.catalogue import (
    CategoryRecord,
    OfferingRecord,
    ServiceProviderRecord,
)
from app.dataio.records.customers import CustomerRecord, ProjectRecord
from app.dataio.records.invoices import InvoiceRecord
from app.dataio.records.record import Record

_NEVER = datetime(9999, 12, 31, tzinfo=UTC)
"""The accounting start of a provider, which only sells."""
_MAX_COST = Decimal(10**12 - 1)
"""Less than the largest unit price, by the amount that rounding may add."""


References = dict[UUID, Callable[[], Record]]
"""The functions that map records, by the UUID of the record."""
_Source = TypeVar("_Source")
_get_invoice = attrgetter("account", "period_start", "period_end")
_get_offering = attrgetter("provider", "category", "service")
_get_resource = attrgetter("account", "sub_account", "provider", "category", "service", "resource")
"""The values of a line that identify its invoice, its offering and its resource."""


@dataclass(frozen=True)
class InvoiceDraft:
    """An invoice of the bill."""

    key: InvoiceKey
    lines: Mapping[UUID, ChargeGroupKey]
    """By the UUIDs of their items."""
    amounts: InvoiceAmounts

    @property
    def has_tax(self) -> bool:
        """Whether some of its lines are taxes of the provider."""
        return any(line.charge_category == TAX for line in self.lines.values())

    @property
    def uuid(self) -> UUID:
        """The UUID of the invoice if it is new."""
        return identifiers.invoice_uuid(self.key)

    @property
    def customer(self) -> UUID:
        """The UUID of the customer."""
        return identifiers.customer_uuid(self.key.account)

    @property
    def rounding(self) -> UUID:
        """The UUID of the item by which earlier releases rounded the invoice."""
        return identifiers.rounding_uuid(self.key)

    @property
    def month(self) -> str:
        """The month, like 2026-09."""
        return f"{self.key.year}-{self.key.month:02}"


class BillMapper:
    """Maps a bill to the records of each kind, in a stable order.

    Raises FocusImportError if a line is too large for an invoice.
    """

    def __init__(self, bill: Bill, currency: str, tax_percent: Decimal) -> None:
        self.currency = currency
        self._bill = bill
        self._tax_percent = tax_percent
        self._line_mapper = LineMapper(bill, currency)
        lines: dict[InvoiceKey, list[ChargeGroupKey]] = {}
        ordered = sorted(bill.groups)
        for line in ordered:
            _check_cost(line, bill.groups[line])
        for (account, start, end), own in groupby(ordered, _get_invoice):
            month = find_billing_month(start, end)
            lines.setdefault(InvoiceKey(month.year, month.month, account), []).extend(own)
        amounts = split_bill(
            {key: [bill.groups[line].billed_cost for line in lines[key]] for key in sorted(lines)},
            get_currency(currency),
        )
        self.drafts = [
            InvoiceDraft(
                key, {identifiers.item_uuid(line): line for line in lines[key]}, own_amounts
            )
            for key, own_amounts in amounts.items()
        ]

    @cached_property
    def _all_lines(self) -> list[ChargeGroupKey]:
        return [line for draft in self.drafts for line in draft.lines.values()]

    @cached_property
    def _created_at(self) -> datetime:
        return min(
            find_billing_month(line.period_start, line.period_end).start
            for line in self._bill.groups
        )

    def customer_name(self, account: str) -> str:
        """Return the name of a billing account, or its id if it has no name."""
        return shorten(self._bill.names.name_or_id(account))

    def references(self) -> Iterator[tuple[type[Record], References]]:
        """Yield for each kind of record that invoices and items name the functions that map them.

        A kind follows those that its records name themselves. Resources come after all of them.
        """
        lines = self._all_lines
        providers = _distinct(line.provider for line in lines)
        customers: References = {
            identifiers.customer_uuid(account): partial(self._map_account, account)
            for account in _distinct(draft.key.account for draft in self.drafts)
        }
        for provider in providers:
            customers[identifiers.seller_uuid(provider)] = partial(self._map_seller, provider)
        yield CustomerRecord, customers
        yield (
            ServiceProviderRecord,
            _references(identifiers.service_provider_uuid, self._map_service_provider, providers),
        )
        categories = _distinct(line.category for line in lines)
        yield CategoryRecord, _references(identifiers.category_uuid, _map_category, categories)
        offerings = {_get_offering(line): line for line in lines}
        yield (
            OfferingRecord,
            _references(identifiers.offering_uuid, self._map_offering, offerings.values()),
        )
        projects = {(line.account, line.sub_account): line for line in lines}
        yield ProjectRecord, _references(_project_uuid, self._map_project, projects.values())

    def resources(self) -> dict[UUID, ChargeGroupKey]:
        """Return a line of each resource that items name, by the UUID of the resource."""
        lines = {_get_resource(line): line for line in self._all_lines if line.resource}
        return {identifiers.resource_uuid(line): line for line in lines.values()}

    def map_resource(self, uuid: UUID, line: ChargeGroupKey) -> ResourceRow:
        """Return the row of a resource."""
        return self._line_mapper.map_resource(uuid, line)

    def _map_account(self, account: str) -> CustomerRecord:
        return CustomerRecord(
            uuid=identifiers.customer_uuid(account),
            name=self.customer_name(account),
            default_tax_percent=self._tax_percent,
            accounting_start_date=self._created_at,
            created_at=self._created_at,
            source=ImportSource.FOCUS,
        )

    def _map_seller(self, provider: str) -> CustomerRecord:
        return CustomerRecord(
            uuid=identifiers.seller_uuid(provider),
            name=shorten(provider),
            accounting_start_date=_NEVER,
            created_at=self._created_at,
            source=ImportSource.FOCUS,
        )

    def _map_service_provider(self, provider: str) -> ServiceProviderRecord:
        return ServiceProviderRecord(
            uuid=identifiers.service_provider_uuid(provider),
            customer=identifiers.seller_uuid(provider),
            created_at=self._created_at,
        )

    def _map_offering(self, line: ChargeGroupKey) -> OfferingRecord:
        return OfferingRecord(
            uuid=identifiers.offering_uuid(line),
            name=line.service,
            type=OFFERING_TYPE,
            category=identifiers.category_uuid(line.category),
            customer=identifiers.seller_uuid(line.provider),
            created_at=self._created_at,
        )

    def _map_project(self, line: ChargeGroupKey) -> ProjectRecord:
        return ProjectRecord(
            uuid=identifiers.project_uuid(line.account, line.sub_account),
            customer=identifiers.customer_uuid(line.account),
            name=self._line_mapper.project_name(line),
            created_at=self._created_at,
        )

    def map_invoice(self, draft: InvoiceDraft) -> InvoiceRecord:
        """Return the record of a new invoice."""
        return InvoiceRecord(
            uuid=draft.uuid,
            customer=draft.customer,
            year=draft.key.year,
            month=draft.key.month,
            tax_percent=self._tax_percent,
            created=Period(draft.key.year, draft.key.month).first_day,
            source=ImportSource.FOCUS,
            unchanged_since_import=True,
        )

    def map_lines(self, draft: InvoiceDraft) -> dict[UUID, InvoiceLine]:
        """Return the lines of an invoice by the UUIDs of their items."""
        return self._line_mapper.map_lines(draft.lines, draft.amounts)

    def map_items(self, draft: InvoiceDraft, invoice: UUID) -> Iterator[ItemRow]:
        """Yield the rows of an invoice's items."""
        return self._line_mapper.map_items(draft.lines, draft.amounts, invoice)


def _check_cost(key: ChargeGroupKey, group: ChargeGroup) -> None:
    if abs(group.billed_cost) >= _MAX_COST:
        raise FocusImportError(
            f"The charges for {key.description or key.service} add up to {group.billed_cost:f}, "
            "which is too much for one line."
        )


def _references(
    derive_uuid: Callable[[_Source], UUID],
    map_record: Callable[[_Source], Record],
    sources: Iterable[_Source],
) -> References:
    return {derive_uuid(source): partial(map_record, source) for source in sources}


def _project_uuid(line: ChargeGroupKey) -> UUID:
    return identifiers.project_uuid(line.account, line.sub_account)


def _map_category(title: str) -> CategoryRecord:
    return CategoryRecord(uuid=identifiers.category_uuid(title), title=title)


def _distinct(values: Iterable[str]) -> list[str]:
    return sorted(set(values))
