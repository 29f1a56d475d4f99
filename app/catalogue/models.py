"""The catalogue: providers, categories, offerings, their components and plans, resources."""

from datetime import datetime

from sqlalchemy import ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from app.billing.enums import BillingType, BillingUnit
from app.database.base import Base, BlankText, Money10, PrimaryKey, PublicId, enum_check


class ServiceProvider(Base):
    """A customer that sells offerings."""

    __tablename__ = "service_providers"

    id: Mapped[PrimaryKey]
    uuid: Mapped[PublicId]
    customer_id: Mapped[int] = mapped_column(ForeignKey("customers.id"), unique=True)
    created_at: Mapped[datetime]


class Category(Base):
    """A category of offerings."""

    __tablename__ = "categories"

    id: Mapped[PrimaryKey]
    uuid: Mapped[PublicId]
    title: Mapped[str]


class Offering(Base):
    """A service that a customer sells; the customer need not be a service provider."""

    __tablename__ = "offerings"

    id: Mapped[PrimaryKey]
    uuid: Mapped[PublicId]
    name: Mapped[str]
    type: Mapped[BlankText]
    category_id: Mapped[int] = mapped_column(ForeignKey("categories.id"), index=True)
    customer_id: Mapped[int | None] = mapped_column(ForeignKey("customers.id"), index=True)
    created_at: Mapped[datetime]


class OfferingComponent(Base):
    """A part of an offering with charges of its own."""

    __tablename__ = "offering_components"
    __table_args__ = (enum_check("billing_type", BillingType),)

    id: Mapped[PrimaryKey]
    uuid: Mapped[PublicId]
    offering_id: Mapped[int] = mapped_column(ForeignKey("offerings.id"), index=True)
    type: Mapped[str]
    name: Mapped[str]
    billing_type: Mapped[str]
    measured_unit: Mapped[BlankText]
    article_code: Mapped[BlankText]


class Plan(Base):
    """A price list of an offering."""

    __tablename__ = "plans"
    __table_args__ = (enum_check("unit", BillingUnit),)

    id: Mapped[PrimaryKey]
    uuid: Mapped[PublicId]
    offering_id: Mapped[int] = mapped_column(ForeignKey("offerings.id"), index=True)
    name: Mapped[str]
    unit: Mapped[str]
    unit_price: Mapped[Money10]
    article_code: Mapped[BlankText]
    archived: Mapped[bool] = mapped_column(default=False)
    created_at: Mapped[datetime]


class PlanComponent(Base):
    """The price of one component in one plan; the component may have been deleted."""

    __tablename__ = "plan_components"

    id: Mapped[PrimaryKey]
    uuid: Mapped[PublicId]
    plan_id: Mapped[int] = mapped_column(ForeignKey("plans.id"), index=True)
    component_id: Mapped[int | None] = mapped_column(
        ForeignKey("offering_components.id"), index=True
    )
    amount: Mapped[int] = mapped_column(default=0)
    price: Mapped[Money10]


class Resource(Base):
    """A purchase of an offering by a project."""

    __tablename__ = "resources"

    id: Mapped[PrimaryKey]
    uuid: Mapped[PublicId]
    name: Mapped[str]
    offering_id: Mapped[int] = mapped_column(ForeignKey("offerings.id"), index=True)
    plan_id: Mapped[int | None] = mapped_column(ForeignKey("plans.id"), index=True)
    project_id: Mapped[int] = mapped_column(ForeignKey("projects.id"), index=True)
    created_at: Mapped[datetime]
