"""Records of credit notes. An import never changes one."""

from typing import Literal
from uuid import UUID

from pydantic import Field

from app.dataio.field_types import Amount4, Day, JsonObject, Sha256, Text
from app.dataio.records.invoices import MAX_INVOICE_NUMBER
from app.dataio.records.record import Record


class CreditNoteRecord(Record):
    """A credit note, without its lines."""

    kind: Literal["credit_note"] = "credit_note"
    number: int = Field(ge=1, le=MAX_INVOICE_NUMBER)
    invoice: UUID
    issue_date: Day
    reason: Text = Field(min_length=1)
    net: Amount4
    """Without tax."""
    gross: Amount4
    """With tax."""
    content: JsonObject
    """The frozen values."""
    digest: Sha256
    """Of the text of the content, followed by the digests of the lines."""


class CreditNoteLinesRecord(Record):
    """Up to a hundred lines of a credit note."""

    kind: Literal["credit_note_lines"] = "credit_note_lines"
    credit_note: UUID
    batch: int = Field(ge=0, le=2**31 - 1)
    """Counted from 0."""
    content: JsonObject
    """The frozen values, by the UUID of the item."""
    digest: Sha256
    """Of the text of the content."""
