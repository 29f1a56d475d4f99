"""The request bodies of changes of payments and payment profiles."""

from datetime import date
from decimal import Decimal
from typing import Annotated, Any
from uuid import UUID

from typing_extensions import TypedDict

from app.api.body_fields import Boolean, Choice, Date, File, JsonObject, Text
from app.api.body_links import Link
from app.api.body_numbers import AmountNumber
from app.api.multipart import FilePart
from app.api.request_model import OPTIONAL, RequestModel, partial_model
from app.payments.schemas import PaymentTypeEnum


class PaymentProfileAttributesRequest(TypedDict, total=False):
    """Attributes of a payment profile. Additional keys are stored unchanged."""

    end_date: str
    agreement_number: str
    contract_sum: str


class PaymentProfileRequest(RequestModel):
    """How an organization pays."""

    name: Annotated[str, Text(150)]
    organization: Annotated[UUID, Link(("customers",))]
    attributes: Annotated[dict[str, Any], JsonObject(PaymentProfileAttributesRequest)] = OPTIONAL
    payment_type: Annotated[PaymentTypeEnum, Choice(PaymentTypeEnum)]
    is_active: Annotated[bool | None, Boolean()] = True
    """Whether the organization pays so. Its other profiles become inactive."""


PatchedPaymentProfileRequest = partial_model(PaymentProfileRequest)


class PaymentRequest(RequestModel):
    """Money received from an organization."""

    profile: Annotated[UUID, Link(("payment-profiles",))]
    """The URL of an active payment profile."""
    date_of_payment: Annotated[date, Date()]
    sum: Annotated[Decimal, AmountNumber(10)] = OPTIONAL
    """0 if it is left out. Negative only for an invoice in the customer's favour."""
    proof: Annotated[FilePart | None, File()] = OPTIONAL
    """A proof of payment, as a file of a multipart body: a PDF, PNG, JPEG, TIFF, WebP or HEIC file.
    Null removes the proof."""


class PaymentRequestForm(PaymentRequest):
    """Money received from an organization."""


class PaymentRequestMultipart(PaymentRequest):
    """Money received from an organization."""


PatchedPaymentRequest = partial_model(PaymentRequest)
PatchedPaymentRequestForm = partial_model(PaymentRequestForm)
PatchedPaymentRequestMultipart = partial_model(PaymentRequestMultipart)
