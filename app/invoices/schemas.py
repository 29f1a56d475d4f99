"""The responses of the invoices API: the documented fields in their order, and their forms.

Rows are dicts of native values with just the keys that are sent; an encoder below writes them in
one pass. A key that has no value is left out, or None where its type allows it.
"""

from datetime import date
from enum import StrEnum
from typing import Annotated, Any
from uuid import UUID

from pydantic import ConfigDict, Field, SerializeAsAny, TypeAdapter, with_config
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
    text_schema,
)
from app.billing.enums import BillingUnit, InvoiceState


def _whole(*left_out: str) -> ConfigDict:
    """Require every field in the documented schema except those that a row may lack."""

    def require(schema: dict[str, Any]) -> None:
        schema["required"] = [name for name in schema["properties"] if name not in left_out]

    return ConfigDict(**DOCUMENTED, json_schema_extra=require)


def _requiring(*names: str) -> ConfigDict:
    """Require the named fields in the documented schema."""
    return ConfigDict(**DOCUMENTED, json_schema_extra={"required": [*names]})


_TEN = decimal_schema(12, 10)


class InvoiceStateEnum(StrEnum):
    """The states of an invoice, under the name in the documented API."""

    PENDING = InvoiceState.PENDING
    PENDING_FINALIZATION = InvoiceState.PENDING_FINALIZATION
    CREATED = InvoiceState.CREATED
    PAID = InvoiceState.PAID
    CANCELED = InvoiceState.CANCELED


@with_config(_whole())
class CustomerDetails(TypedDict, total=False):
    """The address of an invoice's customer."""

    name: Annotated[str, Field(max_length=150)]
    address: Annotated[str, Field(max_length=300)]
    country: Annotated[str, Field(max_length=2)]
    country_name: str | None
    email: Annotated[str, text_schema("email", 75)]
    postal: Annotated[str, Field(max_length=20)]
    phone_number: Annotated[str, Field(max_length=255)]
    bank_name: Annotated[str, Field(max_length=150)]
    bank_account: Annotated[str, Field(max_length=50)]
    vat_code: Annotated[str, Field(max_length=20)]
    """VAT number"""


@with_config(_requiring(*CustomerDetails.__annotations__))
class IssuerDetails(CustomerDetails, total=False):
    """The issuer of an invoice. Additional keys are returned as the operator has set them."""

    city: str
    registration_code: str
    registration_scheme: Annotated[str, Field(max_length=4)]
    """The scheme of the registration code, of the ICD list (ISO 6523)."""
    endpoint: str
    """The electronic address from which e-invoices are sent."""
    endpoint_scheme: Annotated[str, Field(max_length=4)]
    """The scheme of the electronic address, of the EAS list."""
    contact_name: str
    tax_number: str
    """The tax number of an issuer without a VAT number."""
    bic: Annotated[str, Field(max_length=11)]
    """The business identifier code of the bank."""
    account_holder: str
    """The holder of the bank account, if not the issuer."""
    invoice_note: str
    """A note on every invoice."""


class ResourceLimitPeriod(TypedDict, total=False):
    """A part of a billing period during which a limit was constant."""

    start: str
    end: str
    quantity: int
    billing_periods: int
    total: str


class InvoiceItemDetails(TypedDict, total=False):
    """Details stored when the item was created. Additional keys are returned unchanged."""

    resource_name: str
    resource_uuid: WireUuid
    plan_name: str
    plan_uuid: WireUuid
    offering_type: str
    offering_name: str
    offering_uuid: WireUuid
    service_provider_name: str
    service_provider_uuid: WireUuid
    plan_component_id: int
    offering_component_type: str
    offering_component_name: str
    resource_limit_periods: list[ResourceLimitPeriod]


@with_config(_whole("factor", "project_uuid", "resource_uuid", "resource_name", "billing_type"))
class InvoiceItem(TypedDict, total=False):
    """One line of an invoice."""

    uuid: WireUuid
    url: Annotated[UUID, link("invoice-items"), URI]
    name: str
    price: JsonNumber
    tax: Annotated[AmountString, amount_schema(8)]
    total: Annotated[AmountString, amount_schema(20)]
    unit_price: Annotated[DecimalString10, _TEN]
    unit: BillingUnit
    factor: int
    """The number of charged units, if it is an integer."""
    measured_unit: str
    start: UtcTimestamp
    """Date and time when item usage has started."""
    end: UtcTimestamp
    """Date and time when item usage has ended."""
    article_code: Annotated[str, Field(max_length=30)]
    project_name: str
    project_uuid: WireUuid
    quantity: Annotated[DecimalString10, _TEN]
    # As stored, further keys included; the rows have its UUIDs in the style of the response.
    details: SerializeAsAny[InvoiceItemDetails]
    resource: Annotated[UUID, link("marketplace-resources", platform=True), URI] | None
    resource_uuid: WireUuid
    resource_name: str
    billing_type: str
    backend_uuid: UUID | None
    """Always with hyphens, whatever the deployment's UUID style."""
    credit: bool
    """Whether the item compensates instead of charging."""


@with_config(_whole("due_date"))
class Invoice(TypedDict, total=False):
    """An invoice: the charges of one customer for one month."""

    url: Annotated[UUID, link("invoices"), URI]
    uuid: WireUuid
    number: int
    customer: Annotated[UUID, link("customers", platform=True), URI]
    price: Annotated[DecimalString10, _TEN]
    tax: Annotated[DecimalString10, _TEN]
    total: Annotated[DecimalString10, _TEN]
    state: InvoiceStateEnum
    year: Annotated[int, Field(ge=0, le=32767)]
    month: Annotated[int, Field(ge=1, le=12)]
    # As the operator has set it, further keys included.
    issuer_details: SerializeAsAny[IssuerDetails]
    invoice_date: date | None
    """Date then invoice moved from state pending to created."""
    due_date: date
    customer_details: CustomerDetails
    items: list[InvoiceItem]
    backend_id: Annotated[str, Field(max_length=255)]
    payment_url: Annotated[str, text_schema("uri", 200)]
    """URL for initiating payment via payment gateway."""
    reference_number: Annotated[str, Field(max_length=300)]
    """Reference number associated with the invoice."""
    compensations: JsonNumber
    incurred_costs: JsonNumber


@with_config(DOCUMENTED)
class SparseInvoice(Invoice, total=False):
    """An invoice with only the fields requested by `field`."""


class InvoiceStatsOffering(TypedDict):
    """The totals of one offering in an invoice."""

    offering_name: str
    aggregated_price: JsonNumber
    aggregated_tax: JsonNumber
    aggregated_total: JsonNumber
    service_category_title: str
    service_provider_name: str
    service_provider_uuid: WireUuid


class InvoiceGrowthCustomerPeriod(TypedDict):
    """The monthly totals of one major customer."""

    name: str
    periods: list[JsonNumber]


@with_config(DOCUMENTED)
class InvoiceGrowth(TypedDict):
    """Monthly totals of a year, of each major customer and of all others."""

    periods: list[str]
    """Months such as `2026-1`, oldest first. The other lists have one total for each."""
    total_periods: list[JsonNumber]
    other_periods: list[JsonNumber]
    customer_periods: list[InvoiceGrowthCustomerPeriod]


class VersionHistory(TypedDict):
    """A version of an invoice, with the changes that led to it."""

    id: int
    revision_date: UtcTimestamp
    revision_user: dict[str, Any] | None
    revision_comment: str
    serialized_data: dict[str, Any]


INVOICE_FIELDS = tuple(Invoice.__annotations__)
"""The keys of an invoice in their documented order."""

Row = dict[str, Any]
"""Some keys of a schema above with native values."""


encode_invoice = TypeAdapter[Any](Invoice).dump_json
encode_invoices = TypeAdapter[Any](list[Invoice]).dump_json
encode_items = TypeAdapter[Any](list[InvoiceItem]).dump_json
encode_stats = TypeAdapter[Any](list[InvoiceStatsOffering]).dump_json
encode_growth = TypeAdapter[Any](InvoiceGrowth).dump_json
encode_version = TypeAdapter[Any](VersionHistory).dump_json
"""Write rows of one schema as JSON, in one pass; the keyword `context` has the `Links`."""
