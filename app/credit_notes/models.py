"""Credit notes and their lines. Both tables are append-only.

A trigger adds the sum of each credit note to `credited` of its invoice.
"""

from datetime import date
from typing import Any

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, LargeBinary, UniqueConstraint
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from app.database.base import Amount, Base, PrimaryKey, PublicId


class CreditNote(Base):
    """A document that gives back all or a part of an issued invoice."""

    __tablename__ = "credit_notes"
    __table_args__ = (
        CheckConstraint("number > 0", name="number_is_counted_from_one"),
        CheckConstraint("btrim(reason) <> ''", name="reason_is_given"),
    )

    id: Mapped[PrimaryKey]
    uuid: Mapped[PublicId]
    number: Mapped[int] = mapped_column(BigInteger, unique=True)
    """Counted from 1 without gaps; printed as `CN-1`."""
    invoice_id: Mapped[int] = mapped_column(ForeignKey("invoices.id"), index=True)
    issue_date: Mapped[date]
    reason: Mapped[str]
    net: Mapped[Amount]
    """The sum of the lines, without tax."""
    gross: Mapped[Amount]
    """With tax."""
    content: Mapped[dict[str, Any]] = mapped_column(JSONB)
    """The keys of `app.documents.document.FrozenDocument`, and `source` where an import of a
    restated bill made the credit note."""
    digest: Mapped[bytes] = mapped_column(LargeBinary)
    """SHA-256 of the text of the content, followed by the digests of the lines in their order."""


class CreditNoteLines(Base):
    """Up to a hundred lines of a credit note."""

    __tablename__ = "credit_note_lines"
    __table_args__ = (UniqueConstraint("credit_note_id", "batch"),)

    id: Mapped[PrimaryKey]
    uuid: Mapped[PublicId]
    """For exports."""
    credit_note_id: Mapped[int] = mapped_column(ForeignKey("credit_notes.id"))
    batch: Mapped[int]
    """Counted from 0."""
    content: Mapped[dict[str, Any]] = mapped_column(JSONB)
    """By the UUID of the item: the keys of `app.documents.document.DocumentLine`, `taken`, the part
    of the item's quantity that is given back, and `position`, the place in the invoice."""
    digest: Mapped[bytes] = mapped_column(LargeBinary)
    """SHA-256 of the text of the content."""
