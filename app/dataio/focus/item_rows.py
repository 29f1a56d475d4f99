"""Maps the lines of a bill to rows of items and resources, as the loader copies them.

A bill has a hundred thousand lines, so that a row is a tuple. Its values need no check besides:
they come from cells that were checked, and from rules that hold what the models of the records
demand.
"""

import json
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import Any, Final, NamedTuple
from uuid import UUID

from app.billing.enums import BillingUnit
from app.dataio.focus import identifiers
from app.dataio.focus.amounts import InvoiceAmounts
from app.dataio.focus.billing_month import last_moment_of_period
from app.dataio.focus.categories import CORRECTION, CREDIT
from app.dataio.focus.charge_groups import EXACT_ARITHMETIC, Bill, ChargeGroup, ChargeGroupKey
from app.dataio.focus.missing_charges import InvoiceLine

OFFERING_TYPE: Final = "FOCUS"
INVOICE_IDS: Final = "invoice_ids"
"""The key in `details` of the provider's invoices. A provider may assign their ids after the first
exports of a month. They are therefore no part of what identifies an item or of its charges."""
_MICROSECOND: Final = timedelta(microseconds=1)
_ONE: Final = Decimal(1)
_MAX_NAME: Final = 150
_encode_json: Final = json.JSONEncoder(ensure_ascii=False).encode


class ItemRow(NamedTuple):
    """An item, with the values of `RecordKind.values` in their order; `details` are no text yet."""

    uuid: UUID
    name: str
    unit_price: Decimal
    quantity: Decimal
    price: Decimal
    unit: BillingUnit
    measured_unit: str
    article_code: str
    start: datetime
    end: datetime
    project_name: str
    project_uuid: UUID
    details: dict[str, Any]
    backend_uuid: None
    credit: bool
    invoice: UUID
    project: UUID
    resource: UUID | None
    offering: UUID
    plan_component: None
    customer_credit: None

    @property
    def values(self) -> tuple[object, ...]:
        """The row with the details as text of JSON."""
        return self._replace(details=_encode_json(self.details))  # type: ignore[arg-type]


class ResourceRow(NamedTuple):
    """A resource, with the values of `RecordKind.values` in their order."""

    uuid: UUID
    name: str
    created_at: datetime
    offering: UUID
    plan: None
    project: UUID


class LineMapper:
    """Maps the lines of a bill."""

    def __init__(self, bill: Bill, currency: str) -> None:
        self._groups = bill.groups
        self._names = bill.names
        self._currency = currency
        self._describe_offering = lru_cache(maxsize=4096)(_describe_offering)

    def project_name(self, line: ChargeGroupKey) -> str:
        """Return the name of a sub account, or of the billing account if there is none."""
        if not line.sub_account:
            return self._names.name_or_id(line.account)
        return self._names.name_or_id(line.account, line.sub_account)

    def map_resource(self, uuid: UUID, line: ChargeGroupKey) -> ResourceRow:
        """Return the row of the resource of a line."""
        return ResourceRow(
            uuid,
            self._resource_name(line),
            line.period_start,
            identifiers.offering_uuid(line),
            None,
            identifiers.project_uuid(line.account, line.sub_account),
        )

    def map_lines(
        self, lines: Mapping[UUID, ChargeGroupKey], amounts: InvoiceAmounts
    ) -> dict[UUID, InvoiceLine]:
        """Return the lines of an invoice by the UUIDs of their items, with their amounts."""
        found = {}
        for (uuid, key), price in zip(lines.items(), amounts.prices, strict=True):
            group = self._groups[key]
            found[uuid] = InvoiceLine(
                price, group.billed_cost, group.charges, *_charged_period(key, group)
            )
        return found

    def map_items(
        self, lines: Mapping[UUID, ChargeGroupKey], amounts: InvoiceAmounts, invoice: UUID
    ) -> Iterator[ItemRow]:
        """Yield the rows of an invoice's items, from its lines by the UUIDs of their items."""
        for (uuid, key), unit_price, price in zip(
            lines.items(), amounts.unit_prices, amounts.prices, strict=True
        ):
            group = self._groups[key]
            start, end = _charged_period(key, group)
            project = identifiers.project_uuid(key.account, key.sub_account)
            resource = identifiers.resource_uuid(key) if key.resource else None
            yield ItemRow(
                uuid,
                key.description or f"{key.service}: {key.charge_category}",
                unit_price,
                _ONE,
                price,
                BillingUnit.QUANTITY,
                "",
                "",
                start,
                end,
                self.project_name(key),
                project,
                self._map_details(key, group, resource),
                None,
                key.charge_category == CREDIT,
                invoice,
                project,
                resource,
                identifiers.offering_uuid(key),
                None,
                None,
            )

    def _map_details(
        self, key: ChargeGroupKey, group: ChargeGroup, resource: UUID | None
    ) -> dict[str, Any]:
        details = self._describe_offering(key.provider, key.category, key.service) | {
            "charge_category": key.charge_category,
            "charge_count": group.charges,
            "billed_cost": _format_number(group.billed_cost),
            "billing_currency": self._currency,
        }
        if key.corrected_month:
            details["charge_class"] = CORRECTION
        if group.invoice_ids:
            details[INVOICE_IDS] = sorted(group.invoice_ids)
        if resource is not None:
            details["resource_name"] = self._resource_name(key)
            details["resource_uuid"] = str(resource)
        if group.pricing_quantity is not None:
            details["pricing_quantity"] = _format_number(group.pricing_quantity)
            details["pricing_unit"] = key.pricing_unit
        if len(group.consumed) == 1:  # quantities in several units have no sum
            ((unit, quantity),) = group.consumed.items()
            details["consumed_quantity"] = _format_number(quantity)
            details["consumed_unit"] = unit
        return details

    def _resource_name(self, key: ChargeGroupKey) -> str:
        return self._names.name_or_id(key.provider, key.resource)


def shorten(name: str) -> str:
    """Cut a name to the length that the name of a customer may have."""
    return name if len(name) <= _MAX_NAME else f"{name[: _MAX_NAME - 1]}…"


def _describe_offering(provider: str, category: str, service: str) -> dict[str, Any]:
    """Return the details that the items of an offering have in common."""
    return {
        "offering_type": OFFERING_TYPE,
        "offering_name": service,
        "offering_uuid": str(identifiers.offering_uuid_of(provider, category, service)),
        "service_provider_name": shorten(provider),
        "service_provider_uuid": str(identifiers.service_provider_uuid(provider)),
    }


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
