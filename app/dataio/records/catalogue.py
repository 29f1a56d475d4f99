"""Records of services for sale, and of those that projects have bought."""

from typing import Literal
from uuid import UUID

from pydantic import Field

from app.billing.enums import BillingType, BillingUnit
from app.dataio.field_types import Amount10, Text, Time
from app.dataio.records.record import Record

_INTEGER = 2**31 - 1


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
