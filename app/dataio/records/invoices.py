"""Records of invoices and their items."""

from decimal import Decimal
from typing import Literal, Self
from uuid import UUID

from pydantic import Field, model_validator

from app.billing.enums import BillingUnit, InvoiceState
from app.dataio.field_types import (
    Amount4,
    Amount10,
    Day,
    JsonObject,
    Percent,
    Text,
    Time,
    WebAddress,
)
from app.dataio.records.record import Record

MAX_INVOICE_NUMBER = 10**15
"""Clients read JSON numbers as doubles, which are exact up to 2^53. The numbers of later invoices,
which follow this one, must be exact, too."""


class InvoiceRecord(Record):
    """An invoice of a customer for one month. Its totals are computed from its items."""

    kind: Literal["invoice"] = "invoice"
    number: int | None = Field(default=None, ge=1, le=MAX_INVOICE_NUMBER)
    """Null: a new invoice gets the next number, an existing one keeps its number."""
    customer: UUID
    year: int = Field(ge=1, le=9999)
    month: int = Field(ge=1, le=12)
    state: InvoiceState = InvoiceState.PENDING
    tax_percent: Percent = Decimal(0)
    created: Day
    invoice_date: Day | None = None
    """The date of issue. Both dates are present, or neither."""
    due_date: Day | None = None
    backend_id: Text = Field("", max_length=255)
    payment_url: WebAddress = Field("", max_length=200)
    reference_number: Text = Field("", max_length=300)
    cancel_reason: Text = ""
    source: Text | None = None
    """The source of the first import; null for an invoice that was created here."""
    unchanged_since_import: bool = False
    """Whether the invoice is as the last import from its source left it."""

    @model_validator(mode="after")
    def _check_dates(self) -> Self:
        if (self.invoice_date is None) != (self.due_date is None):
            raise ValueError("invoice_date and due_date must both be present or both be absent")
        return self


class InvoiceItemRecord(Record):
    """One line of an invoice."""

    kind: Literal["invoice_item"] = "invoice_item"
    invoice: UUID
    name: Text
    unit_price: Amount10
    quantity: Amount10
    price: Amount4 | None = None
    """Without tax, with the decimals of the currency, at most one smallest unit from the product of
    unit price and quantity. Null: the product, rounded away from zero."""
    unit: BillingUnit
    measured_unit: Text = ""
    article_code: Text = Field("", max_length=30)
    start: Time
    end: Time
    project: UUID | None = None
    project_name: Text = ""
    """The name of the project when the item was created."""
    project_uuid: UUID | None = None
    """The UUID of the project, also after the deletion of the project."""
    resource: UUID | None = None
    offering: UUID | None = None
    plan_component: UUID | None = None
    details: JsonObject = Field(default_factory=dict)
    backend_uuid: UUID | None = None
    credit: bool = False
    """Whether the item is a compensation instead of a charge."""
    customer_credit: UUID | None = None

    @model_validator(mode="after")
    def _check_credit(self) -> Self:
        if self.customer_credit is not None and not self.credit:
            raise ValueError("an item with a customer_credit must be a credit")
        return self
