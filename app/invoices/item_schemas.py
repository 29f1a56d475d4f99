"""The responses of the API of invoice items: the documented fields in their order."""

from datetime import date
from decimal import Decimal
from typing import Annotated, Any
from uuid import UUID

from pydantic import Field, with_config
from typing_extensions import TypedDict

from app.api.schema_config import DOCUMENTED
from app.api.serializers import (
    URI,
    AmountString,
    DecimalString10,
    JsonNumber,
    UtcTimestamp,
    WireUuid,
    amount_schema,
    decimal_schema,
    link,
)
from app.billing.enums import BillingUnit

_TEN = decimal_schema(12, 10)


@with_config(DOCUMENTED)
class InvoiceItemDetail(TypedDict):
    """One line of an invoice, by itself."""

    invoice: Annotated[UUID, link("invoices"), URI]
    resource: Annotated[UUID, link("marketplace-resources", platform=True), URI] | None
    uuid: WireUuid
    article_code: Annotated[str, Field(max_length=30)]
    unit_price: Annotated[DecimalString10, _TEN]
    unit: BillingUnit
    quantity: Annotated[DecimalString10, _TEN]
    measured_unit: str
    name: str
    start: UtcTimestamp
    """Date and time when item usage has started."""
    end: UtcTimestamp
    """Date and time when item usage has ended."""
    price: JsonNumber
    details: dict[str, Any]
    """Stored when the item was created."""
    offering_uuid: WireUuid
    """The nil UUID if the item is of no offering."""
    offering_name: str | None
    offering_component_type: str | None
    project_uuid: WireUuid | None
    project_name: str
    customer_uuid: WireUuid
    """The customer of the invoice."""
    customer_name: str


@with_config(DOCUMENTED)
class InvoiceItemTotalPrice(TypedDict):
    """The sum of unit price times quantity over items."""

    total_price: Annotated[DecimalString10, _TEN]


class InvoiceCostItem(TypedDict):
    """One line of the running month that costs something."""

    name: str
    unit_price: Annotated[DecimalString10, decimal_schema(10, 10)]
    unit: str
    quantity: Annotated[DecimalString10, decimal_schema(10, 10)]
    measured_unit: str
    price: JsonNumber


class _InvoiceCostItems(TypedDict, total=False):
    items: list[InvoiceCostItem]
    """The items of the running month that cost something; only of that month."""


@with_config(DOCUMENTED)
class InvoiceCost(_InvoiceCostItems):
    """The costs of a project on the invoices of one month."""

    price: JsonNumber
    compensation: JsonNumber
    """Of items with a negative unit price."""
    incurred: JsonNumber
    """Of items with a positive unit price."""
    year: int
    month: int


@with_config(DOCUMENTED)
class CostsForPeriod(TypedDict):
    """The costs of a span of months."""

    total_price: Annotated[AmountString, amount_schema(20)]
    start_date: date
    """The first day of the first month."""
    end_date: date
    """The last day of the last month."""


class CustomerCreditConsumptionByMonth(TypedDict):
    """The consumption of a credit in one month."""

    month: str
    price: Annotated[Decimal, amount_schema(20)]
