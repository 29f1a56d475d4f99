"""Records of customers and their projects."""

from decimal import Decimal
from typing import Literal, Self
from uuid import UUID

from pydantic import Field, model_validator

from app.billing.party_details import check_endpoint
from app.dataio.field_types import (
    EndpointScheme,
    LanguageTag,
    Percent,
    RegistrationScheme,
    TaxCategory,
    TaxExemptionCode,
    Text,
    Time,
)
from app.dataio.records.record import Record


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


class ProjectRecord(Record):
    """A project of a customer."""

    kind: Literal["project"] = "project"
    customer: UUID
    name: Text
    slug: Text = Field("", max_length=50)
    """The name in URLs."""
    is_removed: bool = False
    created_at: Time
