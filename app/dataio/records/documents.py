"""Records of the frozen documents of issued invoices, in the form in which they are stored."""

from typing import Annotated, Literal
from uuid import UUID

from pydantic import (
    AfterValidator,
    BaseModel,
    Field,
    Json,
    StringConstraints,
    TypeAdapter,
    ValidationError,
)

from app.billing.enums import BillingUnit
from app.dataio.field_types import Amount4, Amount10, Day, JsonObject, Percent, Text, Time
from app.dataio.records.record import Record
from app.documents.document import DocumentKind

_INTEGER = 2**31 - 1
_BIGINT = 2**63 - 1

_Sum = Annotated[str, StringConstraints(pattern=r"^-?[0-9]{1,26}(\.[0-9]{1,20})?$")]
_HyphenatedUuid = Annotated[
    str, StringConstraints(pattern=r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")
]


class _Buyer(BaseModel):
    model_config = Record.model_config

    name: Text
    vat_code: Text
    registration_code: Text
    registration_scheme: Text
    endpoint: Text
    endpoint_scheme: Text
    address: Text
    city: Text
    postal: Text
    country: Text
    contact_name: Text
    phone_number: Text
    email: Text
    bank_name: Text
    bank_account: Text


class _Seller(BaseModel):
    """The keys of the setting `ISSUER_DETAILS` that a document knows; each may be absent."""

    model_config = Record.model_config

    name: Text = ""
    vat_code: Text = ""
    registration_code: Text = ""
    registration_scheme: Text = ""
    endpoint: Text = ""
    endpoint_scheme: Text = ""
    address: Text = ""
    city: Text = ""
    postal: Text = ""
    country: Text = ""
    contact_name: Text = ""
    phone_number: Text = ""
    email: Text = ""
    bank_name: Text = ""
    bank_account: Text = ""
    bic: Text = ""
    account_holder: Text = ""
    tax_number: Text = ""


class _CustomerDetails(BaseModel):
    model_config = Record.model_config

    name: Text
    address: Text
    country: Text
    country_name: Text | None
    email: Text
    postal: Text
    phone_number: Text
    bank_name: Text
    bank_account: Text
    vat_code: Text


class _Api(BaseModel):
    """The values that the API shows besides those of the document."""

    model_config = Record.model_config

    customer: _HyphenatedUuid
    issuer_details: Json[JsonObject]
    customer_details: _CustomerDetails
    incurred_costs: _Sum
    compensations: _Sum


class _Head(BaseModel):
    """The content of a row of `invoice_documents`."""

    model_config = Record.model_config

    kind: Literal[DocumentKind.INVOICE]
    uuid: _HyphenatedUuid
    number: int = Field(ge=1, le=_BIGINT)
    issue_date: Day
    due_date: Day | None
    year: int = Field(ge=1, le=9999)
    month: int = Field(ge=1, le=12)
    period_start: Day
    period_end: Day
    currency: Text = Field(pattern="^[A-Z]{3}$")
    tax_percent: Percent
    language: Text
    note: Text
    tax_category: Text
    tax_exemption_code: Text
    tax_exemption_reason: Text
    buyer_reference: Text
    order_reference: Text
    agreement_number: Text
    payment_url: Text
    reference_number: Text
    net: _Sum
    gross: _Sum
    compensations: _Sum
    provider_tax: _Sum | None
    items: int = Field(ge=0, le=_INTEGER)
    hidden_items: int = Field(ge=0, le=_INTEGER)
    hidden_cost: _Sum
    seller: _Seller
    buyer: _Buyer
    api: _Api


class _Line(BaseModel):
    """A value in the content of a row of `document_lines`."""

    model_config = Record.model_config

    uuid: _HyphenatedUuid
    name: Text
    price: Amount4
    unit_price: Amount10
    quantity: Amount10
    unit: BillingUnit
    measured_unit: Text
    start: Time
    end: Time
    article_code: Text
    details: JsonObject
    backend_uuid: _HyphenatedUuid | None
    credit: bool
    own_project_name: Text
    project_name: Text | None
    project_uuid: _HyphenatedUuid | None
    resource_uuid: _HyphenatedUuid | None
    resource_name: Text | None
    billing_type: Text | None
    component_type: Text | None
    plan_name: Text | None
    offering_uuid: _HyphenatedUuid | None
    offering_name: Text | None
    category_title: Text | None
    seller_uuid: _HyphenatedUuid | None
    seller_name: Text | None
    provider_uuid: _HyphenatedUuid | None
    position: int = Field(ge=1, le=_INTEGER)
    is_provider_tax: bool


_HEAD = TypeAdapter(_Head)
_LINES: TypeAdapter[list[_Line]] = TypeAdapter(Annotated[list[_Line], Field(min_length=1)])


def _check_head(value: str) -> str:
    return _checked(_HEAD, value)


def _check_lines(value: str) -> str:
    return _checked(_LINES, value)


def _checked(adapter: TypeAdapter[_Head] | TypeAdapter[list[_Line]], value: str) -> str:
    try:
        adapter.validate_json(value)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        # Pydantic requires a ValueError of a validator.
        raise ValueError(f"{place}: {first['msg']}" if place else first["msg"]) from error
    return value


class InvoiceDocumentRecord(Record):
    """The frozen document of an issued invoice, whose `uuid` it has, without its lines."""

    kind: Literal["invoice_document"] = "invoice_document"
    uuid: UUID
    """Of the invoice. A document has no UUID."""
    content: Annotated[Text, AfterValidator(_check_head)]
    """The values of the issue, as JSON text."""


class InvoiceDocumentLinesRecord(Record):
    """Lines of the frozen document of the invoice whose `uuid` it has."""

    kind: Literal["invoice_document_lines"] = "invoice_document_lines"
    uuid: UUID
    """Of the invoice."""
    lines: Annotated[Text, AfterValidator(_check_lines)]
    """An array of lines as JSON text, a line for each item."""


DocumentRecord = InvoiceDocumentRecord | InvoiceDocumentLinesRecord
