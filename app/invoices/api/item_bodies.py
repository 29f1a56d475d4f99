"""The bodies of requests that change items, and of the responses to them."""

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Self
from uuid import UUID

from pydantic import BaseModel, Field, model_validator

from app.api.body_fields import Text, Timestamp, Uuid
from app.api.body_links import Link
from app.api.body_numbers import DecimalNumber, Integer
from app.api.request_model import OPTIONAL, FieldError, RequestModel, partial_model
from app.api.serializers import URI, DecimalString10, UtcTimestamp, WireUuid, decimal_schema, link

_Amount = DecimalNumber(22, 10)
_TEN = decimal_schema(12, 10)


class InvoiceItemUpdateRequest(RequestModel):
    """New values of an item. Those that its kind of component does not take are ignored."""

    article_code: Annotated[str, Text(30, blank=True)] = OPTIONAL
    quantity: Annotated[Decimal, _Amount] = OPTIONAL
    unit_price: Annotated[Decimal, _Amount] = OPTIONAL
    start: Annotated[datetime, Timestamp()] = OPTIONAL
    """Date and time when item usage has started."""
    end: Annotated[datetime, Timestamp()] = OPTIONAL
    """Date and time when item usage has ended."""


PatchedInvoiceItemUpdateRequest = partial_model(InvoiceItemUpdateRequest)


class InvoiceItemUpdate(BaseModel):
    """The values of an item that can be changed."""

    article_code: Annotated[str, Field(max_length=30)]
    quantity: Annotated[DecimalString10, _TEN]
    unit_price: Annotated[DecimalString10, _TEN]
    start: UtcTimestamp
    end: UtcTimestamp


class InvoiceItemCompensationRequest(RequestModel):
    """The component that a compensation is for."""

    offering_component_name: Annotated[str, Text()]
    """The name of the component, which the details of the compensation have."""


class InvoiceItemMigrateToRequest(RequestModel):
    """Where an item is moved to."""

    invoice: Annotated[UUID, Link(("invoices",))]
    """The URL of another invoice of the same customer."""


class InvoiceItemUUID(BaseModel):
    """An item, and the invoice that it is on now."""

    invoice_item_uuid: WireUuid
    invoice: Annotated[UUID, link("invoices"), URI]


class ImportUsageItemRequest(RequestModel):
    """One charge of a customer."""

    customer_name: Annotated[str, Text(blank=True)] = ""
    """The name of the customer, whatever its case, unless `customer_uuid` is given."""
    customer_uuid: Annotated[UUID | None, Uuid()] = None
    name: Annotated[str, Text()]
    unit_price: Annotated[Decimal, _Amount]
    """The price without tax; negative gives money back. A charge of 0 is skipped."""
    article_code: Annotated[str, Text(30, blank=True)] = ""
    service_provider_name: Annotated[str, Text(blank=True)] = ""
    offering_name: Annotated[str, Text(blank=True)] = ""
    plan_name: Annotated[str, Text(blank=True)] = ""

    @model_validator(mode="after")
    def _names_a_customer(self) -> Self:
        if not (self.customer_name or self.customer_uuid):
            raise FieldError("Either customer_name or customer_uuid is required.")
        return self


class ImportUsageRequest(RequestModel):
    """The charges of a month."""

    year: Annotated[int, Integer(2000, 2100)]
    month: Annotated[int, Integer(1, 12)]
    items: list[ImportUsageItemRequest] = Field(min_length=1)


class ImportUsageError(BaseModel):
    """A charge that was not imported."""

    customer_name: str
    reason: str


class ImportUsageResponse(BaseModel):
    """The result of an import of usage."""

    created: int
    skipped: int
    """Charges of 0, and charges that the invoice had before."""
    errors: list[ImportUsageError]
