"""The records of an exchange: one model per kind, each the whole of one row an operator owns.

References between records are UUIDs, named by what they point to: `customer` is the UUID of a
customer. The models are strict: an amount is a Decimal, or a text in JSON, never a number; a time
has an offset; text is what PostgreSQL can store. The JSON Lines format is these models; readers of
other formats make the same records.
"""

from decimal import Decimal
from typing import Annotated, Literal, Self
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, model_validator

from app.audit.models import ChangeKind
from app.billing.enums import (
    BillingType,
    BillingUnit,
    CustomerRoleName,
    DeliveryState,
    InvoiceState,
    PaymentType,
)
from app.dataio.field_types import (
    Amount4,
    Amount5,
    Amount10,
    Base64,
    Day,
    JsonObject,
    MediaType,
    Network,
    Percent,
    Sha256,
    Text,
    Text2,
    Text20,
    Text30,
    Text50,
    Text75,
    Text150,
    Text255,
    Text300,
    Time,
    WebAddress200,
)

_INTEGER = 2**31 - 1
_BIGINT = 2**63 - 1
LARGEST_NUMBER = 10**15
"""Of an invoice. Clients read JSON numbers as doubles, which are exact up to 2^53, and the numbers
that follow must be, too."""


class Record(BaseModel):
    """What every kind has."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", allow_inf_nan=False)

    kind: str
    uuid: UUID


class User(Record):
    """Someone who calls the API or is written to."""

    kind: Literal["user"] = "user"
    username: Text
    full_name: Text = ""
    email: Text = ""
    is_staff: bool = False
    is_support: bool = False
    is_active: bool = True
    created_at: Time


class Token(Record):
    """A key to the API: never the key, only its digest."""

    kind: Literal["token"] = "token"
    user: UUID
    digest: Sha256
    """SHA-256 of the key, in lower case hexadecimal."""
    name: Text = ""
    created_at: Time
    expires_at: Time | None = None
    revoked_at: Time | None = None


class Customer(Record):
    """An organization that is invoiced, that sells, or both."""

    kind: Literal["customer"] = "customer"
    name: Text150
    email: Text75 = ""
    phone_number: Text255 = ""
    address: Text300 = ""
    postal: Text20 = ""
    country: Text2 = ""
    """ISO 3166-1 alpha-2."""
    bank_name: Text150 = ""
    bank_account: Text50 = ""
    vat_code: Text20 = ""
    default_tax_percent: Percent = Decimal(0)
    accounting_start_date: Time
    archived: bool = False
    created_at: Time
    source: Text | None = None
    """`focus`: from a cloud's bill, and invoiced by imports alone; null: billed here."""


class CustomerRole(Record):
    """A role that a user holds at a customer."""

    kind: Literal["customer_role"] = "customer_role"
    user: UUID
    customer: UUID
    role: CustomerRoleName
    is_active: bool = True
    created_at: Time
    expires_at: Time | None = None


class AccessSubnet(Record):
    """A network from which a customer's users may see it."""

    kind: Literal["access_subnet"] = "access_subnet"
    customer: UUID
    network: Network | None = None
    """IPv4 or IPv6, as `192.0.2.0/24`; null means any address."""
    description: Text = ""


class Project(Record):
    """A part of a customer's work."""

    kind: Literal["project"] = "project"
    customer: UUID
    name: Text
    is_removed: bool = False
    created_at: Time


class ServiceProvider(Record):
    """A customer in its part as a seller."""

    kind: Literal["service_provider"] = "service_provider"
    customer: UUID
    created_at: Time


class Category(Record):
    """A kind of service."""

    kind: Literal["category"] = "category"
    title: Text


class Offering(Record):
    """A service that a customer sells."""

    kind: Literal["offering"] = "offering"
    name: Text
    type: Text = ""
    category: UUID
    customer: UUID | None = None
    """The customer that sells it."""
    created_at: Time


class OfferingComponent(Record):
    """A part of an offering that is charged by itself."""

    kind: Literal["offering_component"] = "offering_component"
    offering: UUID
    type: Text
    name: Text
    billing_type: BillingType
    measured_unit: Text = ""
    article_code: Text = ""


class Plan(Record):
    """A price list of an offering."""

    kind: Literal["plan"] = "plan"
    offering: UUID
    name: Text
    unit: BillingUnit
    unit_price: Amount10
    article_code: Text = ""
    archived: bool = False
    created_at: Time


class PlanComponent(Record):
    """The price of one component in one plan."""

    kind: Literal["plan_component"] = "plan_component"
    plan: UUID
    component: UUID | None = None
    """The offering component; null where it is gone."""
    amount: int = Field(default=0, ge=-_INTEGER, le=_INTEGER)
    price: Amount10


class Resource(Record):
    """What a project has bought of an offering."""

    kind: Literal["resource"] = "resource"
    name: Text
    offering: UUID
    plan: UUID | None = None
    project: UUID
    created_at: Time


class CustomerCredit(Record):
    """An amount that a customer may spend on offerings instead of money."""

    kind: Literal["customer_credit"] = "customer_credit"
    customer: UUID
    value: Amount5
    end_date: Day | None = None
    minimal_consumption: Amount5 = Decimal(0)
    minimal_consumption_logic: Text = ""
    created_at: Time
    offerings: tuple[UUID, ...] = ()
    """The offerings it may be spent on, in any order."""


class PaymentProfile(Record):
    """How a customer pays; at most one profile of a customer is active."""

    kind: Literal["payment_profile"] = "payment_profile"
    customer: UUID
    name: Text150 = ""
    payment_type: PaymentType
    attributes: JsonObject = {}
    is_active: bool = True


class Invoice(Record):
    """What a customer owes for one month; its totals follow from its items."""

    kind: Literal["invoice"] = "invoice"
    number: int | None = Field(default=None, ge=1, le=LARGEST_NUMBER)
    """Kept where given; null takes the next free one, or leaves the one that is there."""
    customer: UUID
    year: int = Field(ge=1, le=9999)
    month: int = Field(ge=1, le=12)
    state: InvoiceState = InvoiceState.PENDING
    tax_percent: Percent = Decimal(0)
    created: Day
    invoice_date: Day | None = None
    """When it was issued; given together with the due date or not at all."""
    due_date: Day | None = None
    backend_id: Text255 = ""
    payment_url: WebAddress200 = ""
    reference_number: Text300 = ""
    cancel_reason: Text = ""
    source: Text | None = None
    """Where it was first imported from; null for an invoice that was made here."""
    unchanged_since_import: bool = False
    """Whether nothing was changed since it was imported from its source."""

    @model_validator(mode="after")
    def _dates_belong_together(self) -> Self:
        if (self.invoice_date is None) != (self.due_date is None):
            raise ValueError("invoice_date and due_date are given together or not at all")
        return self


class InvoiceItem(Record):
    """One line of an invoice."""

    kind: Literal["invoice_item"] = "invoice_item"
    invoice: UUID
    name: Text
    unit_price: Amount10
    quantity: Amount10
    price: Amount4 | None = None
    """Without tax, in the currency's decimals, within one smallest unit of unit price times
    quantity; null stands for that product, rounded away from zero."""
    unit: BillingUnit
    measured_unit: Text = ""
    article_code: Text30 = ""
    start: Time
    end: Time
    project: UUID | None = None
    project_name: Text = ""
    """The project's name when the item was made."""
    project_uuid: UUID | None = None
    """The project's UUID, kept also where the project is gone."""
    resource: UUID | None = None
    offering: UUID | None = None
    plan_component: UUID | None = None
    details: JsonObject = {}
    backend_uuid: UUID | None = None
    credit: bool = False
    """Whether the item gives back instead of charging."""
    customer_credit: UUID | None = None

    @model_validator(mode="after")
    def _customer_credit_makes_a_credit(self) -> Self:
        if self.customer_credit is not None and not self.credit:
            raise ValueError("an item with a customer_credit is a credit")
        return self


class Proof(BaseModel):
    """A proof of payment with its content."""

    model_config = Record.model_config

    name: Text
    """The file name that the sender gave it."""
    media_type: MediaType
    size: int = Field(ge=1, le=_INTEGER)
    """In bytes."""
    sha256: Sha256
    """Of the bytes."""
    content: Base64
    """The bytes, in base64."""


class Payment(Record):
    """Money received."""

    kind: Literal["payment"] = "payment"
    profile: UUID
    invoice: UUID | None = None
    date_of_payment: Day
    sum: Amount4
    """In the currency's decimals."""
    created_at: Time
    proof: Proof | None = None


class Delivery(Record):
    """A notification of an invoice and what became of it: history, nothing is sent by an import."""

    kind: Literal["delivery"] = "delivery"
    invoice: UUID
    recipient: Text
    state: DeliveryState
    attempts: int = Field(default=0, ge=0, le=_INTEGER)
    next_attempt_at: Time | None = None
    last_error: Text = ""
    message_id: Text
    created_at: Time
    sent_at: Time | None = None


class HistoryEntry(Record):
    """What was recorded of one transaction on one invoice, whose `uuid` it has, with its seal.

    Lines of the record come before the invoice, and are taken where it has none yet.
    """

    kind: Literal["history_entry"] = "history_entry"
    change: UUID
    """The same for all that the transaction changed."""
    sequence: int = Field(ge=1, lt=_BIGINT)
    """Counts the entries of the invoice, from 1."""
    recorded_at: Time
    operation: Text = ""
    user: UUID | None = None
    """Who made the change, also one who is gone; null for jobs and commands."""
    username: Text = ""
    token: Text = ""
    """The name of the token: the impersonator's where there is one, else the user's."""
    request_id: Text = ""
    impersonator: UUID | None = None
    """The user of staff who did the request as `user`, also one who is gone; else null."""
    impersonator_username: Text = ""
    comment: Text = ""
    data: Text | None = None
    """The invoice as it then was, as a text of JSON; null where it is gone."""
    previous: Sha256
    """What the invoice had as its head before."""
    hash: Sha256
    """Keyed, of all this and the changes."""
    head: Sha256 | None = None
    """Of the last entry, what the invoice has as its head."""


class HistoryChange(Record):
    """One row that a transaction changed, of the invoice whose `uuid` it has."""

    kind: Literal["history_change"] = "history_change"
    change: UUID
    """As in the entry that it belongs to."""
    of: ChangeKind
    """What the row is."""
    subject: UUID
    """The row's own UUID."""
    was: Text | None = None
    """As a text of JSON; null for a new row."""
    became: Text | None = None
    """As a text of JSON; null for a row that went."""


AnyRecord = Annotated[
    User
    | Token
    | Customer
    | CustomerRole
    | AccessSubnet
    | Project
    | ServiceProvider
    | Category
    | Offering
    | OfferingComponent
    | Plan
    | PlanComponent
    | Resource
    | CustomerCredit
    | PaymentProfile
    | Invoice
    | InvoiceItem
    | Payment
    | Delivery
    | HistoryEntry
    | HistoryChange,
    Field(discriminator="kind"),
]
"""A record of any kind; `kind` tells which."""

any_record: TypeAdapter[Record] = TypeAdapter(AnyRecord)
