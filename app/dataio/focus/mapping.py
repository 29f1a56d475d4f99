"""From a grouped bill to the records of an exchange."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import cached_property
from typing import Any
from uuid import UUID

from app.billing.currencies import get_currency
from app.billing.enums import BillingUnit, ImportSource
from app.billing.periods import Period
from app.dataio import records
from app.dataio.focus import identifiers
from app.dataio.focus.amounts import Amounts, Split, split
from app.dataio.focus.billing_month import last_moment, month_of
from app.dataio.focus.categories import CORRECTION, CREDIT, TAX
from app.dataio.focus.errors import NotImported
from app.dataio.focus.grouping import EXACT, Bill, Group, GroupKey, InvoiceKey
from app.dataio.focus.missing_charges import Line

OFFERING_TYPE = "FOCUS"
INVOICE_IDS = "invoice_ids"
"""The key in `details` of the provider's invoices. A provider may give an invoice its id after the
first exports of a month, so that it is no part of what is charged, nor of what tells items
apart."""
_NEVER = datetime(9999, 12, 31, tzinfo=UTC)
"""When the accounting of a provider starts, which only sells."""
_MICROSECOND = timedelta(microseconds=1)
_LONGEST_NAME = 150
_LARGEST = Decimal(10**12 - 1)
"""Less than a unit price can hold, by what rounding may add."""


@dataclass(frozen=True)
class Draft:
    """An invoice as the file has it."""

    key: InvoiceKey
    lines: tuple[GroupKey, ...]
    amounts: Amounts

    @property
    def has_tax(self) -> bool:
        """Whether some of its lines are taxes of the provider."""
        return any(line.charge_category == TAX for line in self.lines)

    @property
    def uuid(self) -> UUID:
        """The UUID that it gets if it is new."""
        return identifiers.invoice(self.key)

    @property
    def customer(self) -> UUID:
        """The customer that it is for."""
        return identifiers.customer(self.key.account)


class Mapping:
    """The records that a bill becomes, each kind in a fixed order.

    Raises NotImported where a line would be more than an invoice can hold.
    """

    def __init__(self, bill: Bill, currency: str, tax_percent: Decimal) -> None:
        self.currency = currency
        self._bill = bill
        self._tax_percent = tax_percent
        by_invoice: dict[InvoiceKey, list[GroupKey]] = {}
        for group in sorted(bill.groups):
            _check(group, bill.groups[group])
            month = month_of(group.period_start, group.period_end)
            key = InvoiceKey(month.year, month.month, group.account)
            by_invoice.setdefault(key, []).append(group)
        self.split: Split[InvoiceKey] = split(
            {
                key: [bill.groups[line].billed_cost for line in by_invoice[key]]
                for key in sorted(by_invoice)
            },
            get_currency(currency),
        )
        self.drafts = [
            Draft(key, tuple(by_invoice[key]), amounts)
            for key, amounts in self.split.invoices.items()
        ]

    @cached_property
    def _since(self) -> datetime:
        return min(month_of(key.period_start, key.period_end).start for key in self._bill.groups)

    def customer_name(self, account: str) -> str:
        """Return the name of a billing account; its identifier if it has none."""
        return _shortened(self._bill.names.of(account))

    def project_name(self, key: GroupKey) -> str:
        """Return the name of a sub account; the billing account's where there is none."""
        if not key.sub_account:
            return self._bill.names.of(key.account)
        return self._bill.names.of(key.account, key.sub_account)

    def references(self) -> Iterator[records.Record]:
        """Yield what invoices and items refer to, each record after those that it names."""
        lines = [line for draft in self.drafts for line in draft.lines]
        yield from self._customers(lines)
        for title in _distinct(line.category for line in lines):
            yield records.Category(uuid=identifiers.category(title), title=title)
        for line in {identifiers.offering(line): line for line in lines}.values():
            yield records.Offering(
                uuid=identifiers.offering(line),
                name=line.service,
                type=OFFERING_TYPE,
                category=identifiers.category(line.category),
                customer=identifiers.seller(line.provider),
                created_at=self._since,
            )
        for line in {(line.account, line.sub_account): line for line in lines}.values():
            yield records.Project(
                uuid=identifiers.project(line.account, line.sub_account),
                customer=identifiers.customer(line.account),
                name=self.project_name(line),
                created_at=self._since,
            )
        with_resource = (line for line in lines if line.resource)
        for line in {identifiers.resource(line): line for line in with_resource}.values():
            yield records.Resource(
                uuid=identifiers.resource(line),
                name=self._resource_name(line),
                offering=identifiers.offering(line),
                project=identifiers.project(line.account, line.sub_account),
                created_at=line.period_start,
            )

    def _customers(self, lines: Iterable[GroupKey]) -> Iterator[records.Record]:
        for account in _distinct(draft.key.account for draft in self.drafts):
            yield records.Customer(
                uuid=identifiers.customer(account),
                name=self.customer_name(account),
                default_tax_percent=self._tax_percent,
                accounting_start_date=self._since,
                created_at=self._since,
                source=ImportSource.FOCUS,
            )
        for provider in _distinct(line.provider for line in lines):
            yield records.Customer(
                uuid=identifiers.seller(provider),
                name=_shortened(provider),
                accounting_start_date=_NEVER,
                created_at=self._since,
                source=ImportSource.FOCUS,
            )
            yield records.ServiceProvider(
                uuid=identifiers.service_provider(provider),
                customer=identifiers.seller(provider),
                created_at=self._since,
            )

    def invoice(self, draft: Draft) -> records.Invoice:
        """Return the record of an invoice that is not there yet."""
        return records.Invoice(
            uuid=draft.uuid,
            customer=draft.customer,
            year=draft.key.year,
            month=draft.key.month,
            tax_percent=self._tax_percent,
            created=Period(draft.key.year, draft.key.month).first_day,
            source=ImportSource.FOCUS,
            unchanged_since_import=True,
        )

    def lines(self, draft: Draft) -> dict[UUID, Line]:
        """Return the lines of an invoice by the UUIDs of their items."""
        lines = {}
        for key, price in zip(draft.lines, draft.amounts.prices, strict=True):
            group = self._bill.groups[key]
            start, end = _charged_time(key, group)
            lines[identifiers.item(key)] = Line(price, group.billed_cost, group.charges, start, end)
        return lines

    def items(self, draft: Draft, invoice: UUID) -> Iterator[records.InvoiceItem]:
        """Yield the items of an invoice."""
        amounts = draft.amounts
        for key, unit_price, price in zip(
            draft.lines, amounts.unit_prices, amounts.prices, strict=True
        ):
            yield self._item(key, unit_price, price, invoice)

    def _item(
        self, key: GroupKey, unit_price: Decimal, price: Decimal, invoice: UUID
    ) -> records.InvoiceItem:
        group = self._bill.groups[key]
        start, end = _charged_time(key, group)
        return records.InvoiceItem(
            uuid=identifiers.item(key),
            invoice=invoice,
            name=key.description or f"{key.service}: {key.charge_category}",
            unit_price=unit_price,
            quantity=Decimal(1),
            price=price,
            unit=BillingUnit.QUANTITY,
            start=start,
            end=end,
            project=identifiers.project(key.account, key.sub_account),
            project_name=self.project_name(key),
            project_uuid=identifiers.project(key.account, key.sub_account),
            resource=identifiers.resource(key) if key.resource else None,
            offering=identifiers.offering(key),
            details=self._details(key, group),
            credit=key.charge_category == CREDIT,
        )

    def _details(self, key: GroupKey, group: Group) -> dict[str, Any]:
        details: dict[str, Any] = {
            "offering_type": OFFERING_TYPE,
            "offering_name": key.service,
            "offering_uuid": str(identifiers.offering(key)),
            "service_provider_name": _shortened(key.provider),
            "service_provider_uuid": str(identifiers.service_provider(key.provider)),
            "charge_category": key.charge_category,
            "charge_count": group.charges,
            "billed_cost": _plain(group.billed_cost),
            "billing_currency": self.currency,
        }
        if key.corrected_month:
            details["charge_class"] = CORRECTION
        if group.invoice_ids:
            details[INVOICE_IDS] = sorted(group.invoice_ids)
        if key.resource:
            details["resource_name"] = self._resource_name(key)
            details["resource_uuid"] = str(identifiers.resource(key))
        if group.pricing_quantity is not None:
            details["pricing_quantity"] = _plain(group.pricing_quantity)
            details["pricing_unit"] = key.pricing_unit
        if len(group.consumed) == 1:  # quantities in several units have no sum
            ((unit, quantity),) = group.consumed.items()
            details["consumed_quantity"] = _plain(quantity)
            details["consumed_unit"] = unit
        return details

    def _resource_name(self, key: GroupKey) -> str:
        return self._bill.names.of(key.provider, key.resource)


def _check(key: GroupKey, group: Group) -> None:
    if abs(group.billed_cost) >= _LARGEST:
        raise NotImported(
            f"The charges for {key.description or key.service} add up to {group.billed_cost:f}: "
            "too much for a line."
        )


def _charged_time(key: GroupKey, group: Group) -> tuple[datetime, datetime]:
    """Return the first and the last moment charged, within the billing period where they meet it.

    A late charge, of a time outside of its billing period, keeps its own, as corrections do.
    """
    start = group.start
    end = group.end - _MICROSECOND if group.end > start else start
    if key.corrected_month:
        return start, end
    last = last_moment(key.period_start, key.period_end)
    if start <= last and end >= key.period_start:
        start, end = max(start, key.period_start), min(end, last)
    return start, end


def _plain(value: Decimal) -> str:
    """Write a number without an exponent and without zeros that say nothing."""
    return format(value.normalize(EXACT), "f") if value else "0"


def _distinct(values: Iterable[str]) -> list[str]:
    return sorted(set(values))


def _shortened(name: str) -> str:
    return name if len(name) <= _LONGEST_NAME else f"{name[: _LONGEST_NAME - 1]}…"
