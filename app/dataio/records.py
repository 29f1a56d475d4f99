"""The records of imports and exports: one model for each kind, with every field of one row.

A record names other records by their UUIDs, in a field with the name of their kind: `customer` is
the UUID of a customer. The models are strict: an amount is a Decimal, or a string in JSON, never a
number; a time has an offset; a text is one that PostgreSQL can store. JSON Lines holds these
records, and the readers of the other formats produce them.
"""

from decimal import Decimal
from functools import reduce
from operator import or_
from typing import Annotated, Any, Literal, Self
from uuid import UUID

from pydantic import (
    AliasChoices,
    BaseModel,
    ConfigDict,
    Field,
    TypeAdapter,
    field_validator,
    model_validator,
)

from app.audit.models import ChangeKind, SubjectKind
from app.billing.enums import (
    BillingType,
    BillingUnit,
    CreditTransactionType,
    CustomerRoleName,
    DeliveryState,
    InvoiceState,
    MinimalConsumptionLogic,
    PaymentType,
    ProjectRoleName,
)
from app.billing.party_details import check_endpoint
from app.dataio.field_types import (
    Amount4,
    Amount5,
    Amount10,
    Balance,
    Base64,
    Day,
    EndpointScheme,
    FeePercent,
    JsonObject,
    LanguageTag,
    MediaType,
    Network,
    Percent,
    RegistrationScheme,
    Sha256,
    TaxCategory,
    TaxExemptionCode,
    Text,
    Time,
    WebAddress,
    WholePercent,
)

_INTEGER = 2**31 - 1
_BIGINT = 2**63 - 1
MAX_INVOICE_NUMBER = 10**15
"""Clients read JSON numbers as doubles, which are exact up to 2^53. The numbers of later invoices,
which follow this one, must be exact, too."""


class Record(BaseModel):
    """The fields of every kind."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", allow_inf_nan=False)

    kind: str
    uuid: UUID


def kind_of(model: type[Record]) -> str:
    """Return the value of the field `kind` of a model's records."""
    return str(model.model_fields["kind"].default)


class UserRecord(Record):
    """A user of the API, who may also receive notifications."""

    kind: Literal["user"] = "user"
    username: Text
    full_name: Text = ""
    email: Text = ""
    is_staff: bool = False
    is_support: bool = False
    is_active: bool = True
    created_at: Time


class TokenRecord(Record):
    """An API token: the digest of its key, never the key."""

    kind: Literal["token"] = "token"
    user: UUID
    digest: Sha256
    """SHA-256 of the key, in lower case hexadecimal."""
    name: Text = ""
    created_at: Time
    expires_at: Time | None = None
    revoked_at: Time | None = None


class OrganizationGroupRecord(Record):
    """A group of customers, by which reports filter."""

    kind: Literal["organization_group"] = "organization_group"
    name: Text


class CustomerRecord(Record):
    """An organization that receives invoices, sells services, or both."""

    kind: Literal["customer"] = "customer"
    name: Text = Field(max_length=150)
    native_name: Text = Field("", max_length=160)
    abbreviation: Text = Field("", max_length=12)
    slug: Text = Field("", max_length=50)
    """The name in URLs."""
    registration_code: Text = Field("", max_length=160)
    registration_scheme: RegistrationScheme = Field("", max_length=4)
    """The scheme of the registration code: four digits of the ICD list (ISO 6523), such as 0191."""
    agreement_number: Text = Field("", max_length=160)
    """Of the contract. Empty: that of the active payment profile's attributes."""
    buyer_reference: Text = Field("", max_length=100)
    """By which the customer assigns invoices; for German authorities the Leitweg-ID."""
    order_reference: Text = Field("", max_length=100)
    """The number of the customer's purchase order."""
    backend_id: Text = Field("", max_length=255)
    contact_details: Text = ""
    contact_name: Text = Field("", max_length=150)
    email: Text = Field("", max_length=75)
    phone_number: Text = Field("", max_length=255)
    address: Text = Field("", max_length=300)
    city: Text = Field("", max_length=100)
    postal: Text = Field("", max_length=20)
    country: Text = Field("", max_length=2)
    """ISO 3166-1 alpha-2."""
    bank_name: Text = Field("", max_length=150)
    bank_account: Text = Field("", max_length=50)
    vat_code: Text = Field("", max_length=20)
    endpoint: Text = Field("", max_length=100)
    """The electronic address for e-invoices. Check digits are checked in 0007, 0088, 0184, 0192 and
    0208."""
    endpoint_scheme: EndpointScheme = Field("", max_length=4)
    """The scheme of the electronic address, of the EAS list, such as 9931, or EM for e-mail. Both
    are set, or neither."""
    language: LanguageTag = Field("", max_length=12)
    """Of mails and documents: a tag such as de or pt-BR. Empty: the language of `LOCALE`."""
    default_tax_percent: Percent = Decimal(0)
    tax_category: TaxCategory = Field("", max_length=2)
    """S standard, Z zero rate, E exempt, AE reverse charge, K goods within the EU, G export,
    O outside the scope of tax. Empty: S where tax is charged, else not known."""
    tax_exemption_code: TaxExemptionCode = Field("", max_length=30)
    """Of the VATEX list, such as VATEX-EU-AE."""
    tax_exemption_reason: Text = Field("", max_length=300)
    """In words."""
    accounting_start_date: Time
    archived: bool = False
    display_billing_info_in_projects: bool = True
    """Whether users with a role in a project see the invoice items of that project."""
    created_at: Time
    source: Text | None = None
    """`focus`: only imports of cloud bills invoice this customer. Null: this service does."""
    organization_groups: tuple[UUID, ...] = ()
    """The groups of the customer, in any order."""

    @model_validator(mode="after")
    def _check_endpoint(self) -> Self:
        check_endpoint(self.endpoint, self.endpoint_scheme)
        return self


class CustomerRoleRecord(Record):
    """A role of a user at a customer."""

    kind: Literal["customer_role"] = "customer_role"
    user: UUID
    customer: UUID
    role: CustomerRoleName
    is_active: bool = True
    created_at: Time
    expires_at: Time | None = None


class AccessSubnetRecord(Record):
    """A network from which the users of a customer may access its data."""

    kind: Literal["access_subnet"] = "access_subnet"
    customer: UUID
    network: Network | None = None
    """IPv4 or IPv6, like `192.0.2.0/24`. Null: any address."""
    description: Text = ""


class ProjectRecord(Record):
    """A project of a customer."""

    kind: Literal["project"] = "project"
    customer: UUID
    name: Text
    slug: Text = Field("", max_length=50)
    """The name in URLs."""
    is_removed: bool = False
    created_at: Time


class ProjectRoleRecord(Record):
    """A role of a user in a project."""

    kind: Literal["project_role"] = "project_role"
    user: UUID
    project: UUID
    role: ProjectRoleName
    is_active: bool = True
    created_at: Time
    expires_at: Time | None = None


class ServiceProviderRecord(Record):
    """A customer as a seller."""

    kind: Literal["service_provider"] = "service_provider"
    customer: UUID
    created_at: Time


class CategoryRecord(Record):
    """A category of offerings."""

    kind: Literal["category"] = "category"
    title: Text


class OfferingRecord(Record):
    """A service for sale."""

    kind: Literal["offering"] = "offering"
    name: Text
    type: Text = ""
    category: UUID
    customer: UUID | None = None
    """The customer that sells the service."""
    created_at: Time


class OfferingComponentRecord(Record):
    """A part of an offering with a charge of its own."""

    kind: Literal["offering_component"] = "offering_component"
    offering: UUID
    type: Text
    name: Text
    billing_type: BillingType
    measured_unit: Text = ""
    article_code: Text = ""


class PlanRecord(Record):
    """A price list of an offering."""

    kind: Literal["plan"] = "plan"
    offering: UUID
    name: Text
    unit: BillingUnit
    unit_price: Amount10
    article_code: Text = ""
    archived: bool = False
    created_at: Time


class PlanComponentRecord(Record):
    """The price of one component in one plan."""

    kind: Literal["plan_component"] = "plan_component"
    plan: UUID
    component: UUID | None = None
    """The offering component; null after its deletion."""
    amount: int = Field(default=0, ge=-_INTEGER, le=_INTEGER)
    price: Amount10


class ResourceRecord(Record):
    """An offering that a project has bought."""

    kind: Literal["resource"] = "resource"
    name: Text
    offering: UUID
    plan: UUID | None = None
    project: UUID
    created_at: Time


class CustomerCreditRecord(Record):
    """A credit that pays items of a customer's invoices."""

    kind: Literal["customer_credit"] = "customer_credit"
    customer: UUID
    value: Balance
    end_date: Day | None = None
    """The day on which the value becomes zero."""
    expected_consumption: Balance = Field(
        default=Decimal(0),
        # Exports had the second name while the minimal consumption was not computed.
        validation_alias=AliasChoices("expected_consumption", "minimal_consumption"),
    )
    """The amount that the customer is expected to use each month."""
    minimal_consumption_logic: MinimalConsumptionLogic = MinimalConsumptionLogic.FIXED
    grace_coefficient: WholePercent = Decimal(0)
    """The percentage by which the consumption may be below the expected one."""
    apply_as_minimal_consumption: bool = True
    """Whether a part of the expected consumption that is not used is forfeited."""
    created_at: Time
    offerings: tuple[UUID, ...] = ()
    """The offerings whose items the credit pays, in any order; none means every item."""

    @field_validator("minimal_consumption_logic", mode="before")
    @classmethod
    def _default_logic(cls, value: object) -> object:
        """Accept the empty text of earlier exports."""
        return MinimalConsumptionLogic.FIXED if value == "" else value


class ProjectCreditRecord(Record):
    """A project's share of the customer's credit."""

    kind: Literal["project_credit"] = "project_credit"
    project: UUID
    value: Balance
    end_date: Day | None = None
    """The day on which the value becomes zero."""
    expected_consumption: Balance = Decimal(0)
    """The amount that the project is expected to use each month."""
    minimal_consumption_logic: MinimalConsumptionLogic = MinimalConsumptionLogic.FIXED
    grace_coefficient: WholePercent = Decimal(0)
    """The percentage by which the consumption may be below the expected one."""
    apply_as_minimal_consumption: bool = True
    """Whether a part of the expected consumption that is not used is forfeited."""
    mark_unused_credit_as_spent_on_project_termination: bool = False
    """Whether the value is taken from the customer's credit when the project is removed."""
    created_at: Time


class CustomerAffiliateRecord(Record):
    """An organization that earns a fee from each invoice of a customer."""

    kind: Literal["customer_affiliate"] = "customer_affiliate"
    customer: UUID
    affiliate: UUID
    """The organization that earns the fees, another customer."""
    fee_percent: FeePercent = Decimal(0)
    is_active: bool = True
    """At most one affiliate of a customer is active."""
    start_date: Day | None = None
    end_date: Day | None = None
    """The first day without a fee."""
    created_at: Time

    @model_validator(mode="after")
    def _check_customers_and_dates(self) -> Self:
        if self.customer == self.affiliate:
            raise ValueError("the affiliate must be another customer")
        if self.start_date and self.end_date and self.end_date <= self.start_date:
            raise ValueError("end_date must be after start_date")
        return self


class PaymentProfileRecord(Record):
    """A method of payment of a customer, of which at most one is active."""

    kind: Literal["payment_profile"] = "payment_profile"
    customer: UUID
    name: Text = Field("", max_length=150)
    payment_type: PaymentType
    attributes: JsonObject = {}
    is_active: bool = True


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
    details: JsonObject = {}
    backend_uuid: UUID | None = None
    credit: bool = False
    """Whether the item is a compensation instead of a charge."""
    customer_credit: UUID | None = None

    @model_validator(mode="after")
    def _check_credit(self) -> Self:
        if self.customer_credit is not None and not self.credit:
            raise ValueError("an item with a customer_credit must be a credit")
        return self


class CreditTransactionRecord(Record):
    """A movement of the balance of one credit, in the ledger. An import never changes one.

    It names records by UUID, since it outlives them.
    """

    kind: Literal["credit_transaction"] = "credit_transaction"
    customer_uuid: UUID | None = None
    customer_credit_uuid: UUID | None = None
    """The customer credit whose balance moved."""
    project_credit_uuid: UUID | None = None
    """The project credit whose balance moved."""
    project_uuid: UUID | None = None
    """The project that the movement is about."""
    project_name: Text = ""
    """The name of the project at the time of the movement."""
    amount: Amount5
    """Positive if the balance rose."""
    transaction_type: CreditTransactionType
    comment: Text = ""
    billing_period: Day | None = None
    """The first day of the month that the movement is about."""
    invoice_uuid: UUID | None = None
    """The invoice that caused the movement."""
    created_at: Time

    @model_validator(mode="after")
    def _check_balance_and_period(self) -> Self:
        if self.customer_credit_uuid is not None and self.project_credit_uuid is not None:
            raise ValueError("a movement must be of one credit")
        if self.billing_period is not None and self.billing_period.day != 1:
            raise ValueError("billing_period must be the first day of a month")
        return self


class AffiliateFeeAccrualRecord(Record):
    """The fee that an affiliate earned from one invoice."""

    kind: Literal["affiliate_fee_accrual"] = "affiliate_fee_accrual"
    affiliate_link: UUID
    invoice: UUID
    amount: Amount5
    created_at: Time


class ProofRecord(BaseModel):
    """A proof of payment with its content."""

    model_config = Record.model_config

    name: Text
    """The file name."""
    media_type: MediaType
    size: int = Field(ge=1, le=_INTEGER)
    """In bytes."""
    sha256: Sha256
    """Of the content's bytes."""
    content: Base64
    """In base64."""


class PaymentRecord(Record):
    """A payment that was received."""

    kind: Literal["payment"] = "payment"
    profile: UUID
    invoice: UUID | None = None
    date_of_payment: Day
    sum: Amount4
    """With the decimals of the currency."""
    created_at: Time
    proof: ProofRecord | None = None


class DeliveryRecord(Record):
    """A past notification of an invoice and its result. An import sends nothing."""

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


class _AuditEntry(BaseModel):
    """The fields that the entries of both audit trails have after the subject."""

    change: UUID
    """The transaction: the same UUID in all of its entries and changes."""
    sequence: int = Field(ge=1, lt=_BIGINT)
    """The position among the entries of the subject, from 1."""
    recorded_at: Time
    operation: Text = ""
    user: UUID | None = None
    """The actor, also after the user's deletion; null for jobs and commands."""
    username: Text = ""
    token: Text = ""
    """The name of the token: the impersonator's, if there is one, otherwise the user's."""
    request_id: Text = ""
    impersonator: UUID | None = None
    """The staff user who acted as `user`, also after the deletion of that staff user."""
    impersonator_username: Text = ""
    comment: Text = ""
    data: Text | None = None
    """The row after the change, as JSON text; null if it was deleted."""
    previous: Sha256
    """The head of the hash chain before this entry."""
    hash: Sha256
    """The keyed hash of this entry and its changes."""
    head: Sha256 | None = None
    """In the last entry of a subject: the head of its hash chain."""


class HistoryEntryRecord(_AuditEntry, Record):
    """An entry of the audit trail: one transaction's changes of one invoice, whose `uuid` it has.

    The entries of an invoice precede it in a file. An import takes them only if the invoice has
    none yet.
    """

    kind: Literal["history_entry"] = "history_entry"


class HistoryChangeRecord(Record):
    """One changed row in the audit trail of the invoice whose `uuid` it has."""

    kind: Literal["history_change"] = "history_change"
    change: UUID
    """The transaction, as in the entry."""
    of: ChangeKind
    """The kind of row."""
    subject: UUID
    """The UUID of the row."""
    was: Text | None = None
    """The row before the change, as JSON text; null for a new row."""
    became: Text | None = None
    """The row after the change, as JSON text; null for a deleted row."""


class SubjectHistoryEntryRecord(_AuditEntry, Record):
    """An entry of the audit trail of another subject, whose `uuid` it has."""

    kind: Literal["subject_history_entry"] = "subject_history_entry"
    of: SubjectKind
    """The kind of subject."""


class SubjectHistoryChangeRecord(Record):
    """One change of the subject whose `uuid` it has."""

    kind: Literal["subject_history_change"] = "subject_history_change"
    change: UUID
    """The transaction, as in the entry."""
    of: SubjectKind
    """The kind of subject."""
    was: Text | None = None
    """The changed fields before the change, as JSON text; null for a new row."""
    became: Text | None = None
    """The changed fields after the change, as JSON text; null for a deleted row."""


_any_record: Any = Annotated[reduce(or_, Record.__subclasses__()), Field(discriminator="kind")]
record_adapter: TypeAdapter[Record] = TypeAdapter(_any_record)
"""Reads a record of any kind, which the field `kind` names."""
