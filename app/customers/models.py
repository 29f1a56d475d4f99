"""Customers and their projects: whom an invoice is addressed to, and where its costs arose."""

from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, String
from sqlalchemy.orm import Mapped, mapped_column

from app.database.base import Base, BlankText, Percent, PrimaryKey, PublicId


class Customer(Base):
    """An organization that is invoiced, that sells, or both."""

    __tablename__ = "customers"
    __table_args__ = (
        CheckConstraint(
            "default_tax_percent >= 0 AND default_tax_percent <> 'NaN'",
            name="default_tax_percent_is_not_negative",
        ),
    )

    id: Mapped[PrimaryKey]
    uuid: Mapped[PublicId]
    name: Mapped[str] = mapped_column(String(150))
    email: Mapped[BlankText] = mapped_column(String(75))
    phone_number: Mapped[BlankText] = mapped_column(String(255))
    address: Mapped[BlankText] = mapped_column(String(300))
    postal: Mapped[BlankText] = mapped_column(String(20))
    country: Mapped[BlankText] = mapped_column(String(2))
    bank_name: Mapped[BlankText] = mapped_column(String(150))
    bank_account: Mapped[BlankText] = mapped_column(String(50))
    vat_code: Mapped[BlankText] = mapped_column(String(20))
    default_tax_percent: Mapped[Percent]
    accounting_start_date: Mapped[datetime] = mapped_column(index=True)
    archived: Mapped[bool] = mapped_column(default=False)
    created_at: Mapped[datetime]
    source: Mapped[str | None]
    """The import that made it: `focus` for an account or a provider of a cloud's bill, which gets
    invoices from imports alone; none for a customer that is billed here."""


class Project(Base):
    """A part of a customer's work that resources belong to."""

    __tablename__ = "projects"

    id: Mapped[PrimaryKey]
    uuid: Mapped[PublicId]
    customer_id: Mapped[int] = mapped_column(ForeignKey("customers.id"), index=True)
    name: Mapped[str]
    is_removed: Mapped[bool] = mapped_column(default=False)
    created_at: Mapped[datetime]
