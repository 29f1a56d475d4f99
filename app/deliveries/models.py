"""The table of deliveries."""

from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from app.billing.enums import DeliveryState
from app.database.base import Base, BlankText, PrimaryKey, PublicId, enum_check

OPEN = "state IN ('pending', 'sending')"
"""The SQL condition of a delivery that is neither sent nor failed."""


class Delivery(Base):
    """One notification of an invoice or a credit note to one recipient, and its outcome."""

    __tablename__ = "notification_deliveries"
    __table_args__ = (
        enum_check("state", DeliveryState),
        CheckConstraint("num_nonnulls(invoice_id, credit_note_id) = 1", name="is_of_one_document"),
        Index(
            "uq_notification_deliveries_open_invoice_id_recipient",
            "invoice_id",
            text("lower(recipient)"),
            unique=True,
            postgresql_where=text(OPEN),
        ),
        Index(
            "uq_notification_deliveries_open_credit_note_id_recipient",
            "credit_note_id",
            text("lower(recipient)"),
            unique=True,
            postgresql_where=text(OPEN),
        ),
        Index(
            "ix_notification_deliveries_open_next_attempt_at",
            "next_attempt_at",
            postgresql_where=text(OPEN),
        ),
    )

    id: Mapped[PrimaryKey]
    uuid: Mapped[PublicId]
    invoice_id: Mapped[int | None] = mapped_column(
        ForeignKey("invoices.id", ondelete="CASCADE"), index=True
    )
    """The invoice that the message is about; None if it is about a credit note."""
    credit_note_id: Mapped[int | None] = mapped_column(ForeignKey("credit_notes.id"), index=True)
    recipient: Mapped[str]
    """An address; empty if the customer has none."""
    state: Mapped[str] = mapped_column(default=DeliveryState.PENDING)
    attempts: Mapped[int] = mapped_column(default=0)
    next_attempt_at: Mapped[datetime | None]
    """When a pending delivery is due; while sending, the end of the lease."""
    last_error: Mapped[BlankText]
    message_id: Mapped[str] = mapped_column(unique=True)
    created_at: Mapped[datetime]
    sent_at: Mapped[datetime | None]
