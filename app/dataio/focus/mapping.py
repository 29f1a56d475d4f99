"""Maps a grouped bill to records."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import cached_property, partial
from operator import attrgetter
from typing import Any, TypeVar
from uuid import UUID

from app.billing.currencies import get_currency
from app.billing.enums import BillingUnit, ImportSource
from app.billing.periods import Period
from app.dataio.focus import identifiers
from app.dataio.focus.amounts import InvoiceAmounts, split_bill
from app.dataio.focus.billing_month import find_billing_month, last_moment_of_period
from app.dataio.focus.categories import CORRECTION, CREDIT, TAX
from app.dataio.focus.charge_groups import (
    EXACT_ARITHMETIC,
    Bill,
    ChargeGroup,
    ChargeGroupKey,
    InvoiceKey,
)
from app.dataio.focus.errors import FocusImportError
from app.dataio.focus.missing_charges import InvoiceLine
from app.dataio.records.catalogue import (
    CategoryRecord,
    OfferingRecord,
    ResourceRecord,
    ServiceProviderRecord,
)
from app.dataio.records.customers import CustomerRecord, ProjectRecord
from app.dataio.records.invoices import InvoiceItemRecord, InvoiceRecord
from app.dataio.records.record import Record

OFFERING_TYPE = "FOCUS"
INVOICE_IDS = "invoice_ids"
"""The key in `details` of the provider's invoices. A provider may assign their ids after the first
exports of a month. They are therefore no part of what identifies an item or of its charges."""
_NEVER = datetime(9999, 12, 31, tzinfo=UTC)
"""The accounting start of a provider, which only sells."""
_MICROSECOND = timedelta(microseconds=1)
_MAX_NAME = 150
_MAX_COST = Decimal(10**12 - 1)
"""Less than the largest unit price, by the amount that rounding may add."""


References = dict[UUID, Callable[[], Record]]
"""The functions that map records, by the UUID of the record."""
_Source = TypeVar("_Source")
_get_offering = attrgetter("provider", "category", "service")
_get_resource = attrgetter("account", "sub_account", "provider", "category", "service", "resource")
"""The values of a line that identify its offering and its resource."""


@dataclass(frozen=True)
class InvoiceDraft:
    """An invoice of the bill."""

    key: InvoiceKey
    lines: tuple[ChargeGroupKey, ...]
    amounts: InvoiceAmounts

    @property
    def has_tax(self) -> bool:
        """Whether some of its lines are taxes of the provider."""
        return any(line.charge_category == TAX for line in self.lines)

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
        self._lines: dict[InvoiceKey, dict[UUID, InvoiceLine]] = {}
        lines: dict[InvoiceKey, list[ChargeGroupKey]] = {}
        for line in sorted(bill.groups):
            _check_cost(line, bill.groups[line])
            month = find_billing_month(line.period_start, line.period_end)
            key = InvoiceKey(month.year, month.month, line.account)
            lines.setdefault(key, []).append(line)
        amounts = split_bill(
            {key: [bill.groups[line].billed_cost for line in lines[key]] for key in sorted(lines)},
            get_currency(currency),
        )
        self.drafts = [
            InvoiceDraft(key, tuple(lines[key]), own_amounts)
            for key, own_amounts in amounts.items()
        ]

    @cached_property
    def _created_at(self) -> datetime:
        return min(
            find_billing_month(line.period_start, line.period_end).start
            for line in self._bill.groups
        )

    def customer_name(self, account: str) -> str:
        """Return the name of a billing account, or its id if it has no name."""
        return _shorten(self._bill.names.name_or_id(account))

    def project_name(self, line: ChargeGroupKey) -> str:
        """Return the name of a sub account, or of the billing account if there is none."""
        if not line.sub_account:
            return self._bill.names.name_or_id(line.account)
        return self._bill.names.name_or_id(line.account, line.sub_account)

    def references(self) -> Iterator[tuple[type[Record], References]]:
        """Yield for each kind of record that invoices and items name the functions that map them.

        A kind follows those that its records name themselves.
        """
        lines = [line for draft in self.drafts for line in draft.lines]
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
        resources = {_get_resource(line): line for line in lines if line.resource}
        yield (
            ResourceRecord,
            _references(identifiers.resource_uuid, self._map_resource, resources.values()),
        )

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
            name=_shorten(provider),
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
            name=self.project_name(line),
            created_at=self._created_at,
        )

    def _map_resource(self, line: ChargeGroupKey) -> ResourceRecord:
        return ResourceRecord(
            uuid=identifiers.resource_uuid(line),
            name=self._resource_name(line),
            offering=identifiers.offering_uuid(line),
            project=identifiers.project_uuid(line.account, line.sub_account),
            created_at=line.period_start,
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
        known = self._lines.get(draft.key)
        if known is not None:
            return known
        lines = self._lines[draft.key] = {}
        for key, price in zip(draft.lines, draft.amounts.prices, strict=True):
            group = self._bill.groups[key]
            lines[identifiers.item_uuid(key)] = InvoiceLine(
                price, group.billed_cost, group.charges, *_charged_period(key, group)
            )
        return lines

    def map_items(self, draft: InvoiceDraft, invoice: UUID) -> Iterator[InvoiceItemRecord]:
        """Yield the records of an invoice's items."""
        amounts = draft.amounts
        for key, unit_price, price in zip(
            draft.lines, amounts.unit_prices, amounts.prices, strict=True
        ):
            group = self._bill.groups[key]
            start, end = _charged_period(key, group)
            project = identifiers.project_uuid(key.account, key.sub_account)
            yield InvoiceItemRecord(
                uuid=identifiers.item_uuid(key),
                invoice=invoice,
                name=key.description or f"{key.service}: {key.charge_category}",
                unit_price=unit_price,
                quantity=Decimal(1),
                price=price,
                unit=BillingUnit.QUANTITY,
                start=start,
                end=end,
                project=project,
                project_name=self.project_name(key),
                project_uuid=project,
                resource=identifiers.resource_uuid(key) if key.resource else None,
                offering=identifiers.offering_uuid(key),
                details=self._map_details(key, group),
                credit=key.charge_category == CREDIT,
            )

    def _map_details(self, key: ChargeGroupKey, group: ChargeGroup) -> dict[str, Any]:
        details: dict[str, Any] = {
            "offering_type": OFFERING_TYPE,
            "offering_name": key.service,
            "offering_uuid": str(identifiers.offering_uuid(key)),
            "service_provider_name": _shorten(key.provider),
            "service_provider_uuid": str(identifiers.service_provider_uuid(key.provider)),
            "charge_category": key.charge_category,
            "charge_count": group.charges,
            "billed_cost": _format_number(group.billed_cost),
            "billing_currency": self.currency,
        }
        if key.corrected_month:
            details["charge_class"] = CORRECTION
        if group.invoice_ids:
            details[INVOICE_IDS] = sorted(group.invoice_ids)
        if key.resource:
            details["resource_name"] = self._resource_name(key)
            details["resource_uuid"] = str(identifiers.resource_uuid(key))
        if group.pricing_quantity is not None:
            details["pricing_quantity"] = _format_number(group.pricing_quantity)
            details["pricing_unit"] = key.pricing_unit
        if len(group.consumed) == 1:  # quantities in several units have no sum
            ((unit, quantity),) = group.consumed.items()
            details["consumed_quantity"] = _format_number(quantity)
            details["consumed_unit"] = unit
        return details

    def _resource_name(self, key: ChargeGroupKey) -> str:
        return self._bill.names.name_or_id(key.provider, key.resource)


def _check_cost(key: ChargeGroupKey, group: ChargeGroup) -> None:
    if abs(group.billed_cost) >= _MAX_COST:
        raise FocusImportError(
            f"The charges for {key.description or key.service} add up to {group.billed_cost:f}, "
            "which is too much for one line."
        )


def _charged_period(key: ChargeGroupKey, group: ChargeGroup) -> tuple[datetime, datetime]:
    """Return the first and last charged moment, limited to the billing period.

    Corrections, and late charges for a time outside of the billing period, are not limited.
    """
    start = group.start
    end = group.end - _MICROSECOND if group.end > start else start
    if key.corrected_month:
        return start, end
    last = last_moment_of_period(key.period_start, key.period_end)
    if start <= last and end >= key.period_start:
        start, end = max(start, key.period_start), min(end, last)
    return start, end


def _format_number(value: Decimal) -> str:
    """Return a number without an exponent and without trailing zeros."""
    return format(value.normalize(EXACT_ARITHMETIC), "f") if value else "0"


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


def _shorten(name: str) -> str:
    return name if len(name) <= _MAX_NAME else f"{name[: _MAX_NAME - 1]}…"
