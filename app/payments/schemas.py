"""The responses of the API of payments and profiles: the documented fields in their order."""

from datetime import date
from enum import StrEnum
from typing import Annotated
from uuid import UUID

from pydantic import Field, SerializeAsAny, with_config
from typing_extensions import TypedDict

from app.api.schema_config import DOCUMENTED
from app.api.serializers import URI, AmountString, WireUuid, amount_schema, link
from app.billing.enums import PaymentType


class PaymentTypeEnum(StrEnum):
    """The payment types, under the name in the documented API."""

    FIXED_PRICE = PaymentType.FIXED_PRICE
    INVOICES = PaymentType.INVOICES
    GATEWAY_MONTHLY = PaymentType.GATEWAY_MONTHLY


class PaymentProfileAttributes(TypedDict, total=False):
    """Attributes of a payment profile. Additional keys are returned unchanged."""

    end_date: str
    agreement_number: str
    contract_sum: str


@with_config(DOCUMENTED)
class PaymentProfile(TypedDict):
    """How an organization pays."""

    uuid: WireUuid
    url: Annotated[UUID, link("payment-profiles"), URI]
    name: Annotated[str, Field(max_length=150)]
    organization_uuid: WireUuid
    organization: Annotated[UUID, link("customers", platform=True), URI]
    attributes: SerializeAsAny[PaymentProfileAttributes]
    payment_type: PaymentTypeEnum
    payment_type_display: str
    is_active: bool | None
    """`true`, or null if the profile is not active."""


@with_config(DOCUMENTED)
class Payment(TypedDict):
    """Money received from an organization, perhaps for an invoice."""

    uuid: WireUuid
    url: Annotated[UUID, link("payments"), URI]
    profile: Annotated[UUID, link("payment-profiles"), URI]
    date_of_payment: date
    sum: Annotated[AmountString, amount_schema(8)]
    proof: Annotated[UUID, link("payments", part="proof/"), URI] | None
    """Where the proof of payment can be downloaded."""
    invoice: Annotated[UUID, link("invoices"), URI] | None
    invoice_uuid: WireUuid
    """The nil UUID if the payment is of no invoice."""
    invoice_period: str | None
    """The month of the invoice as `MM-YYYY`."""
    customer_uuid: WireUuid
