"""Records of notifications."""

from typing import Literal
from uuid import UUID

from pydantic import Field

from app.billing.enums import DeliveryState
from app.dataio.field_types import Text, Time
from app.dataio.records.record import Record

_INTEGER = 2**31 - 1


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
