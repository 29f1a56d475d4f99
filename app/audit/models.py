"""The audit record: the changes that triggers write, and the entries that seal them.

An invoice has its items and payments in its record. Each other subject (a credit, an affiliate, a
payment profile, a payment, a credit note) has a record of its own row.

The tables of changes and entries are append-only; the database refuses anything else. They refer
to rows by UUID and have no foreign keys, because the record outlives its subject. The triggers
stand in app/database/ddl/audit_record.sql and subject_record.sql.
"""

from datetime import datetime
from enum import StrEnum
from typing import Any, Final
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, Index, LargeBinary, UniqueConstraint
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from app.database.base import Base, BlankText, PrimaryKey, enum_check


class ChangeKind(StrEnum):
    """The kind of a changed row."""

    INVOICE = "invoice"
    ITEM = "item"
    PAYMENT = "payment"


class SubjectKind(StrEnum):
    """The kind of a subject that has a record of its own."""

    CUSTOMER_CREDIT = "customer_credit"
    PROJECT_CREDIT = "project_credit"
    CUSTOMER_AFFILIATE = "customer_affiliate"
    PAYMENT_PROFILE = "payment_profile"
    PAYMENT = "payment"
    CREDIT_NOTE = "credit_note"


SUBJECT_TABLES: Final = {
    SubjectKind.CUSTOMER_CREDIT: "customer_credits",
    SubjectKind.PROJECT_CREDIT: "project_credits",
    SubjectKind.CUSTOMER_AFFILIATE: "customer_affiliates",
    SubjectKind.PAYMENT_PROFILE: "payment_profiles",
    SubjectKind.PAYMENT: "payments",
    SubjectKind.CREDIT_NOTE: "credit_notes",
}


class AuditChange(Base):
    """A change of one row: an invoice, an item or a payment.

    Triggers write it for every change, whatever its source. It refers to other rows by UUID, and
    leaves out keys, revisions and the columns of the record itself.
    """

    __tablename__ = "invoice_changes"
    __table_args__ = (
        enum_check("kind", ChangeKind),
        CheckConstraint("num_nulls(was, became) < 2", name="something_was_or_became"),
        Index("ix_invoice_changes_change_invoice_uuid", "change", "invoice_uuid"),
    )

    id: Mapped[PrimaryKey]
    change: Mapped[UUID]
    """The same for all rows that one transaction changed."""
    invoice_uuid: Mapped[UUID]
    kind: Mapped[str]
    subject: Mapped[UUID]
    """The UUID of the invoice, item or payment."""
    was: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    """The old values: of an invoice the changed columns, else the whole row; null for a new row."""
    became: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    """The new values, as in `was`; null for a deleted row."""


class AuditEntry(Base, check_dates=False):
    """The change of one invoice by one transaction: its actor, its time and its result.

    `hash` is keyed, and covers all columns, the changes and `previous`.
    """

    __tablename__ = "invoice_history"
    __table_args__ = (
        UniqueConstraint("invoice_uuid", "sequence"),
        UniqueConstraint("change", "invoice_uuid"),
        CheckConstraint("sequence > 0", name="sequence_is_counted_from_one"),
    )

    id: Mapped[PrimaryKey]
    change: Mapped[UUID]
    """The value of `change` of its rows in `invoice_changes`."""
    invoice_uuid: Mapped[UUID]
    sequence: Mapped[int] = mapped_column(BigInteger)
    """The position of the entry in the invoice's record, from 1."""
    recorded_at: Mapped[datetime]
    operation: Mapped[BlankText]
    """As in `Actor`, like the six columns that follow."""
    user_uuid: Mapped[UUID | None]
    username: Mapped[BlankText]
    token: Mapped[BlankText]
    request_id: Mapped[BlankText]
    impersonator_uuid: Mapped[UUID | None]
    impersonator_username: Mapped[BlankText]
    comment: Mapped[BlankText]
    """A comment of the actor, such as the reason of a cancelation."""
    data: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    """The invoice's row after the change; null if it was deleted."""
    previous: Mapped[bytes] = mapped_column(LargeBinary)
    """The head of the invoice before; zeros for the first entry."""
    hash: Mapped[bytes] = mapped_column(LargeBinary)


class SubjectChange(Base):
    """A change of a subject's row, as `AuditChange` has the changes of invoices."""

    __tablename__ = "subject_changes"
    __table_args__ = (
        enum_check("kind", SubjectKind),
        CheckConstraint("num_nulls(was, became) < 2", name="something_was_or_became"),
        Index("ix_subject_changes_change_subject_uuid", "change", "subject_uuid"),
    )

    id: Mapped[PrimaryKey]
    change: Mapped[UUID]
    subject_uuid: Mapped[UUID]
    kind: Mapped[str]
    was: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    """The old values of the changed fields; of a deleted row all; null for a new row."""
    became: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    """The new values, as in `was`; null for a deleted row."""


class SubjectEntry(Base):
    """The change of one subject by one transaction, as `AuditEntry` has the changes of invoices."""

    __tablename__ = "subject_history"
    __table_args__ = (
        enum_check("kind", SubjectKind),
        UniqueConstraint("subject_uuid", "kind", "sequence"),
        UniqueConstraint("change", "subject_uuid", "kind"),
        CheckConstraint("sequence > 0", name="sequence_is_counted_from_one"),
    )

    id: Mapped[PrimaryKey]
    change: Mapped[UUID]
    subject_uuid: Mapped[UUID]
    kind: Mapped[str]
    sequence: Mapped[int] = mapped_column(BigInteger)
    recorded_at: Mapped[datetime]
    operation: Mapped[BlankText]
    user_uuid: Mapped[UUID | None]
    username: Mapped[BlankText]
    token: Mapped[BlankText]
    request_id: Mapped[BlankText]
    impersonator_uuid: Mapped[UUID | None]
    impersonator_username: Mapped[BlankText]
    comment: Mapped[BlankText]
    data: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    """The subject's row after the change; null if it was deleted."""
    previous: Mapped[bytes] = mapped_column(LargeBinary)
    hash: Mapped[bytes] = mapped_column(LargeBinary)


class SubjectHead(Base):
    """The count and head of a subject's record, which invoices keep in their own row.

    It stays when the subject is deleted.
    """

    __tablename__ = "subject_heads"
    __table_args__ = (enum_check("kind", SubjectKind),)

    subject_uuid: Mapped[UUID] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(primary_key=True)
    history_count: Mapped[int] = mapped_column(BigInteger, default=0, server_default="0")
    history_head: Mapped[bytes | None] = mapped_column(LargeBinary)
