"""Records of payments, with their proofs, and of payment profiles."""

from typing import Literal
from uuid import UUID

from pydantic import BaseModel, Field

from app.billing.enums import PaymentType
from app.dataio.field_types import Amount4, Base64, Day, JsonObject, MediaType, Sha256, Text, Time
from app.dataio.records.record import Record

_INTEGER = 2**31 - 1


class PaymentProfileRecord(Record):
    """A method of payment of a customer, of which at most one is active."""

    kind: Literal["payment_profile"] = "payment_profile"
    customer: UUID
    name: Text = Field("", max_length=150)
    payment_type: PaymentType
    attributes: JsonObject = Field(default_factory=dict)
    is_active: bool = True


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
