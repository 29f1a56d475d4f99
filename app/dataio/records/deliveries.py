"""Records of notifications."""

from typing import Literal, Self
from uuid import UUID

from pydantic import Field, model_validator

from app.billing.enums import DeliveryState
from app.dataio.field_types import Text, Time
from app.dataio.records.record import Record

_INTEGER = 2**31 - 1


class DeliveryRecord(Record):
    """A past notification of an invoice or a credit note, and its result.

    An import sends nothing.
    """

    kind: Literal["delivery"] = "delivery"
    invoice: UUID | None = None
    """A delivery is of an invoice or of a credit note."""
    credit_note: UUID | None = None
    recipient: Text
    state: DeliveryState
    attempts: int = Field(default=0, ge=0, le=_INTEGER)
    next_attempt_at: Time | None = None
    last_error: Text = ""
    message_id: Text
    created_at: Time
    sent_at: Time | None = None

    @model_validator(mode="after")
    def _check_document(self) -> Self:
        if (self.invoice is None) == (self.credit_note is None):
            raise ValueError("a delivery must be of an invoice or of a credit note")
        return self
