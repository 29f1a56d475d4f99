"""Payment profiles and payments."""

from datetime import date, datetime

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    ForeignKey,
    Index,
    Numeric,
    SmallInteger,
    String,
    Uuid,
    column,
    table,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from app.billing.enums import PaymentType
from app.database.base import Amount, Base, BlankText, JsonObject, PrimaryKey, PublicId, enum_check


class PaymentProfile(Base):
    """How a customer pays; at most one profile of a customer is active."""

    __tablename__ = "payment_profiles"
    __table_args__ = (
        enum_check("payment_type", PaymentType),
        CheckConstraint("jsonb_typeof(attributes) = 'object'", name="attributes_are_an_object"),
        Index(
            "uq_payment_profiles_active_customer_id",
            "customer_id",
            unique=True,
            postgresql_where=text("is_active"),
        ),
    )

    id: Mapped[PrimaryKey]
    uuid: Mapped[PublicId]
    customer_id: Mapped[int] = mapped_column(ForeignKey("customers.id"), index=True)
    name: Mapped[BlankText] = mapped_column(String(150))
    payment_type: Mapped[str]
    attributes: Mapped[JsonObject]
    is_active: Mapped[bool] = mapped_column(default=True)


class Payment(Base):
    """Money received, perhaps for an invoice, perhaps with a proof.

    The proof is in the store of proofs, under `proof_key`. The other columns of the proof are the
    name that its sender gave it, its media type by content, its size in bytes and its digest.
    """

    __tablename__ = "payments"
    __table_args__ = (
        CheckConstraint(
            "num_nulls(proof_key, proof_name, proof_media_type, proof_size, proof_sha256)"
            " IN (0, 5)",
            name="proof_is_whole",
        ),
        CheckConstraint("sum <> 'NaN'", name="sum_is_a_number"),
        CheckConstraint("abs(sum) < 1e20", name="sum_is_bounded"),
    )

    id: Mapped[PrimaryKey]
    uuid: Mapped[PublicId]
    profile_id: Mapped[int] = mapped_column(ForeignKey("payment_profiles.id"), index=True)
    invoice_id: Mapped[int | None] = mapped_column(ForeignKey("invoices.id"), index=True)
    date_of_payment: Mapped[date] = mapped_column(index=True)
    sum: Mapped[Amount]
    proof_key: Mapped[str | None] = mapped_column(unique=True)
    proof_name: Mapped[str | None]
    proof_media_type: Mapped[str | None]
    proof_size: Mapped[int | None]
    proof_sha256: Mapped[str | None]
    created_at: Mapped[datetime]


paid_invoice = table(
    "invoices",
    column("id", BigInteger),
    column("uuid", Uuid),
    column("year", SmallInteger),
    column("month", SmallInteger),
    column("total_cost", Numeric),
)
"""The columns of an invoice that its payments show or depend on. `app.invoices`, which imports this
package, maps the table."""
