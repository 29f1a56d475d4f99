"""The request bodies of the operations on one invoice."""

from datetime import date
from typing import Annotated

from app.api.body_fields import Date, File, Text, Url
from app.api.multipart import FilePart
from app.api.request_model import OPTIONAL, RequestModel
from app.invoices.repository.writes import EDITABLE_TEXTS


class PaidRequest(RequestModel):
    """A payment. A body without any field marks the invoice as paid and records no payment."""

    date: Annotated[date, Date()]
    """The date of the payment."""


class PaidRequestForm(PaidRequest):
    """A payment. A body without any field marks the invoice as paid and records no payment."""


class PaidRequestMultipart(PaidRequest):
    """A payment. A body without any field marks the invoice as paid and records no payment."""

    proof: Annotated[FilePart, File()] = OPTIONAL
    """A proof of payment: a PDF, PNG, JPEG, TIFF, WebP or HEIC file."""


class BackendIdRequest(RequestModel):
    """The invoice's identifier in another system."""

    backend_id: Annotated[str, Text(EDITABLE_TEXTS["backend_id"], blank=True)] = OPTIONAL


class PaymentURLRequest(RequestModel):
    """The page where the invoice can be paid."""

    payment_url: Annotated[str, Url(EDITABLE_TEXTS["payment_url"])] = OPTIONAL
    """URL for initiating payment via payment gateway."""


class ReferenceNumberRequest(RequestModel):
    """The invoice's reference number in another system."""

    reference_number: Annotated[str, Text(EDITABLE_TEXTS["reference_number"], blank=True)] = (
        OPTIONAL
    )
    """Reference number associated with the invoice."""
