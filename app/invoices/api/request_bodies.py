"""The request bodies of the operations on one invoice, as the OpenAPI document describes them.

The operations read their bodies themselves, after the checks that need none.
"""

from datetime import date
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema

from app.api.serializers import text_schema
from app.invoices.repository.writes import EDITABLE_TEXTS


def _without_default(schema: dict[str, Any]) -> None:
    # An absent field changes nothing; a default would say otherwise.
    schema.pop("default", None)


def _text(field: str) -> Any:
    return Field(default="", max_length=EDITABLE_TEXTS[field], json_schema_extra=_without_default)


_URI = text_schema("uri", EDITABLE_TEXTS["payment_url"])
_Proof = Annotated[
    bytes,
    WithJsonSchema({"type": "string", "format": "binary"}),
    Field(default=b"", json_schema_extra=_without_default),
]


class _Documented(BaseModel):
    model_config = ConfigDict(use_attribute_docstrings=True)


class PaidRequest(_Documented):
    """A payment. A body without any field marks the invoice as paid and records no payment."""

    date: date
    """The date of the payment."""


class PaidRequestForm(PaidRequest):
    """A payment. A body without any field marks the invoice as paid and records no payment."""


class PaidRequestMultipart(PaidRequest):
    """A payment. A body without any field marks the invoice as paid and records no payment."""

    proof: _Proof
    """A proof of payment: a PDF, PNG, JPEG, TIFF, WebP or HEIC file."""


class BackendIdRequest(_Documented):
    """The invoice's identifier in another system."""

    backend_id: str = _text("backend_id")


class PaymentURLRequest(_Documented):
    """The page where the invoice can be paid."""

    payment_url: Annotated[str, _URI] = _text("payment_url")
    """URL for initiating payment via payment gateway."""


class ReferenceNumberRequest(_Documented):
    """The invoice's reference number in another system."""

    reference_number: str = _text("reference_number")
    """Reference number associated with the invoice."""
