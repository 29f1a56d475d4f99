"""Customers and their projects."""

from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from app.database.base import Base, BlankText, Percent, PrimaryKey, PublicId


class OrganizationGroup(Base):
    """A group of customers, by which reports filter."""

    __tablename__ = "organization_groups"

    id: Mapped[PrimaryKey]
    uuid: Mapped[PublicId]
    name: Mapped[str]


class Customer(Base):
    """An organization that is invoiced, sells offerings, or both."""

    __tablename__ = "customers"
    __table_args__ = (
        CheckConstraint(
            "default_tax_percent >= 0 AND default_tax_percent <> 'NaN'",
            name="default_tax_percent_is_not_negative",
        ),
        Index(
            "ix_customers_name", "name", "id"
        ),  # with COLLATE "C", which Alembic does not compare
    )

    id: Mapped[PrimaryKey]
    uuid: Mapped[PublicId]
    name: Mapped[str] = mapped_column(String(150))
    native_name: Mapped[BlankText] = mapped_column(String(160))
    abbreviation: Mapped[BlankText] = mapped_column(String(12))
    slug: Mapped[BlankText] = mapped_column(String(50))
    """The name in URLs."""
    registration_code: Mapped[BlankText] = mapped_column(String(160))
    registration_scheme: Mapped[BlankText] = mapped_column(String(4))
    """The scheme of the registration code, of the ICD list (ISO 6523)."""
    agreement_number: Mapped[BlankText] = mapped_column(String(160))
    buyer_reference: Mapped[BlankText] = mapped_column(String(100))
    """The reference by which the customer assigns invoices, such as a Leitweg-ID."""
    order_reference: Mapped[BlankText] = mapped_column(String(100))
    backend_id: Mapped[BlankText] = mapped_column(String(255))
    contact_details: Mapped[BlankText]
    contact_name: Mapped[BlankText] = mapped_column(String(150))
    email: Mapped[BlankText] = mapped_column(String(75))
    phone_number: Mapped[BlankText] = mapped_column(String(255))
    address: Mapped[BlankText] = mapped_column(String(300))
    city: Mapped[BlankText] = mapped_column(String(100))
    postal: Mapped[BlankText] = mapped_column(String(20))
    country: Mapped[BlankText] = mapped_column(String(2))
    bank_name: Mapped[BlankText] = mapped_column(String(150))
    bank_account: Mapped[BlankText] = mapped_column(String(50))
    vat_code: Mapped[BlankText] = mapped_column(String(20))
    endpoint: Mapped[BlankText] = mapped_column(String(100))
    """The electronic address to which e-invoices are sent."""
    endpoint_scheme: Mapped[BlankText] = mapped_column(String(4))
    """The scheme of the electronic address, of the EAS list."""
    language: Mapped[BlankText] = mapped_column(String(12))
    """The tag of the language of mails and documents; empty for the language of `LOCALE`."""
    default_tax_percent: Mapped[Percent]
    tax_category: Mapped[BlankText] = mapped_column(String(2))
    """A code of `TAX_CATEGORIES`; empty: S where tax is charged, else not known."""
    tax_exemption_code: Mapped[BlankText] = mapped_column(String(30))
    """A code of the VATEX list."""
    tax_exemption_reason: Mapped[BlankText] = mapped_column(String(300))
    accounting_start_date: Mapped[datetime] = mapped_column(index=True)
    archived: Mapped[bool] = mapped_column(default=False)
    display_billing_info_in_projects: Mapped[bool] = mapped_column(
        default=True, server_default="true"
    )
    """Whether users with a role in a project see the invoice items of that project."""
    created_at: Mapped[datetime]
    source: Mapped[str | None]
    """The import that created it: `focus` for an account or a provider of a cost export, which is
    invoiced by such imports only; null for a customer that this service invoices."""


class CustomerOrganizationGroup(Base):
    """A customer's membership in a group."""

    __tablename__ = "customer_organization_groups"

    customer_id: Mapped[int] = mapped_column(
        ForeignKey("customers.id", ondelete="CASCADE"), primary_key=True
    )
    organization_group_id: Mapped[int] = mapped_column(
        ForeignKey("organization_groups.id", ondelete="CASCADE"), primary_key=True, index=True
    )


class Project(Base):
    """A project of a customer; resources belong to projects."""

    __tablename__ = "projects"

    id: Mapped[PrimaryKey]
    uuid: Mapped[PublicId]
    customer_id: Mapped[int] = mapped_column(ForeignKey("customers.id"), index=True)
    name: Mapped[str]
    slug: Mapped[BlankText] = mapped_column(String(50))
    """The name in URLs."""
    is_removed: Mapped[bool] = mapped_column(default=False)
    created_at: Mapped[datetime]
