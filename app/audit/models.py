"""The record of changes: what triggers note of each changed row, and the entries that seal it.

Both tables are only added to; the database refuses anything else. They name invoices by UUID and
have no foreign keys: what was recorded outlives what it tells of. The migration that makes the
triggers is their source.
"""

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, Index, LargeBinary, UniqueConstraint
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from app.database.base import Base, BlankText, PrimaryKey, enum_check


class ChangeKind(StrEnum):
    """What a changed row is."""

    INVOICE = "invoice"
    ITEM = "item"
    PAYMENT = "payment"


class AuditChange(Base):
    """One row of an invoice, its items or its payments that a transaction changed.

    Triggers write it, whoever makes the change. Other records are named by UUID, and no column
    tells of keys, revisions or the record itself.
    """

    __tablename__ = "invoice_changes"
    __table_args__ = (
        enum_check("kind", ChangeKind),
        CheckConstraint("num_nulls(was, became) < 2", name="something_was_or_became"),
        Index("ix_invoice_changes_change_invoice_uuid", "change", "invoice_uuid"),
    )

    id: Mapped[PrimaryKey]
    change: Mapped[UUID]
    """The same for all that one transaction changed."""
    invoice_uuid: Mapped[UUID]
    kind: Mapped[str]
    subject: Mapped[UUID]
    """The invoice, the item or the payment."""
    was: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    """Of an invoice only the columns that changed, of others the whole row; null for a new one."""
    became: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    """As `was`; null for one that went."""


class AuditEntry(Base, check_dates=False):
    """What one transaction did to one invoice: by whom, when, and what it came to.

    `hash` is keyed and covers all that is here, the changes, and `previous`.
    """

    __tablename__ = "invoice_history"
    __table_args__ = (
        UniqueConstraint("invoice_uuid", "sequence"),
        UniqueConstraint("change", "invoice_uuid"),
        CheckConstraint("sequence > 0", name="sequence_is_counted_from_one"),
    )

    id: Mapped[PrimaryKey]
    change: Mapped[UUID]
    """Of the rows in `invoice_changes` that belong to it."""
    invoice_uuid: Mapped[UUID]
    sequence: Mapped[int] = mapped_column(BigInteger)
    """Counts the entries of the invoice, from 1."""
    recorded_at: Mapped[datetime]
    operation: Mapped[BlankText]
    """As in `Author`, and so the six that follow."""
    user_uuid: Mapped[UUID | None]
    username: Mapped[BlankText]
    token: Mapped[BlankText]
    request_id: Mapped[BlankText]
    impersonator_uuid: Mapped[UUID | None]
    impersonator_username: Mapped[BlankText]
    comment: Mapped[BlankText]
    """What the author had to say, as the reason of a cancelation."""
    data: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    """The invoice's row as it then was; null where it is gone."""
    previous: Mapped[bytes] = mapped_column(LargeBinary)
    """The head that the invoice had before; zeros for the first entry."""
    hash: Mapped[bytes] = mapped_column(LargeBinary)
