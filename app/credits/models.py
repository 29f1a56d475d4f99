"""Credits of customers and projects, the ledger of their balances, and affiliates' fees.

A balance never falls below zero. Each movement of a balance is a row of the ledger, which only
grows.
"""

from datetime import date, datetime
from decimal import Decimal
from typing import Annotated, Final
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    ForeignKey,
    Index,
    Numeric,
    SmallInteger,
    Text,
    UniqueConstraint,
    Uuid,
    column,
    table,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from app.billing.enums import CreditTransactionType, MinimalConsumptionLogic
from app.database.base import Base, BlankText, PrimaryKey, PublicId, enum_check

BALANCE_MAX: Final = Decimal("99999999999.99999")
"""The largest balance."""
Amount5 = Annotated[Decimal, mapped_column(Numeric(16, 5))]
"""Money with five decimals, whatever the currency."""
ZeroAmount5 = Annotated[
    Decimal, mapped_column(Numeric(16, 5), default=Decimal(0), server_default="0")
]
Logic = Annotated[
    str,
    mapped_column(
        default=MinimalConsumptionLogic.FIXED, server_default=MinimalConsumptionLogic.FIXED
    ),
]
GracePercent = Annotated[
    Decimal, mapped_column(Numeric(3, 0), default=Decimal(0), server_default="0")
]
"""The percentage by which the consumption may be below the expected one; 20 stands for 20 %."""
Applied = Annotated[bool, mapped_column(default=True, server_default="true")]


class CreditTerms:
    """The columns that the credits of customers and of projects share."""

    value: Mapped[Amount5]
    """The balance."""
    end_date: Mapped[date | None]
    """The day on which the balance becomes zero."""
    expected_consumption: Mapped[ZeroAmount5]
    """The amount that is expected to be used each month."""
    minimal_consumption_logic: Mapped[Logic]
    grace_coefficient: Mapped[GracePercent]
    apply_as_minimal_consumption: Mapped[Applied]
    """Whether a part of the expected consumption that is not used is forfeited."""


def _credit_checks() -> tuple[CheckConstraint, ...]:
    """Return the constraints of `CreditTerms`, for one table."""
    return (
        CheckConstraint("value >= 0 AND value <> 'NaN'", name="value_is_not_negative"),
        CheckConstraint(
            "expected_consumption >= 0 AND expected_consumption <> 'NaN'",
            name="expected_consumption_is_not_negative",
        ),
        enum_check("minimal_consumption_logic", MinimalConsumptionLogic),
        CheckConstraint("grace_coefficient BETWEEN 0 AND 100", name="grace_is_a_percentage"),
    )


class CustomerCredit(CreditTerms, Base):
    """A credit that pays items of the customer's invoices when these are issued."""

    __tablename__ = "customer_credits"
    __table_args__ = _credit_checks()

    id: Mapped[PrimaryKey]
    uuid: Mapped[PublicId]
    customer_id: Mapped[int] = mapped_column(ForeignKey("customers.id"), unique=True)
    created_at: Mapped[datetime]


class CustomerCreditOffering(Base):
    """An offering whose items a customer credit pays. A credit without any pays every item."""

    __tablename__ = "customer_credit_offerings"

    customer_credit_id: Mapped[int] = mapped_column(
        ForeignKey("customer_credits.id", ondelete="CASCADE"), primary_key=True
    )
    offering_id: Mapped[int] = mapped_column(
        ForeignKey("offerings.id", ondelete="CASCADE"), primary_key=True, index=True
    )


class ProjectCredit(CreditTerms, Base):
    """A project's share of the customer's credit."""

    __tablename__ = "project_credits"
    __table_args__ = _credit_checks()

    id: Mapped[PrimaryKey]
    uuid: Mapped[PublicId]
    project_id: Mapped[int] = mapped_column(ForeignKey("projects.id"), unique=True)
    mark_unused_credit_as_spent_on_project_termination: Mapped[bool] = mapped_column(
        default=False, server_default="false"
    )
    """Whether the balance is taken from the customer's credit, too, when the project is removed."""
    created_at: Mapped[datetime]


class CreditTransaction(Base):
    """One movement of one balance. The ledger names records by UUID, since it outlives them."""

    __tablename__ = "credit_transactions"
    __table_args__ = (
        enum_check("transaction_type", CreditTransactionType),
        CheckConstraint("amount <> 'NaN'", name="amount_is_a_number"),
        CheckConstraint(
            "num_nonnulls(customer_credit_uuid, project_credit_uuid) <= 1",
            name="one_balance_moves",
        ),
        CheckConstraint(
            "extract(day FROM billing_period) = 1", name="billing_period_is_a_first_day"
        ),
        Index("ix_credit_transactions_customer_uuid_id", "customer_uuid", "id"),
        Index("ix_credit_transactions_customer_credit_uuid_id", "customer_credit_uuid", "id"),
        Index("ix_credit_transactions_project_credit_uuid_id", "project_credit_uuid", "id"),
        Index("ix_credit_transactions_project_uuid_id", "project_uuid", "id"),
    )

    id: Mapped[PrimaryKey]
    uuid: Mapped[PublicId]
    customer_uuid: Mapped[UUID | None]
    """The customer at the time of the movement; null if an import does not know it."""
    customer_credit_uuid: Mapped[UUID | None]
    """The customer credit whose balance moved; null for a project's."""
    project_credit_uuid: Mapped[UUID | None]
    """The project credit whose balance moved. Both are null in imported movements of a project
    credit that was deleted before."""
    project_uuid: Mapped[UUID | None]
    """The project that the movement is about, also if the customer's balance moved."""
    project_name: Mapped[BlankText]
    """The name of the project at the time of the movement."""
    amount: Mapped[Amount5]
    """Positive if the balance rose."""
    transaction_type: Mapped[str]
    comment: Mapped[BlankText]
    billing_period: Mapped[date | None]
    """The first day of the month that the movement is about."""
    invoice_uuid: Mapped[UUID | None] = mapped_column(index=True)
    """The invoice that caused the movement."""
    created_at: Mapped[datetime] = mapped_column(index=True)


class CustomerAffiliate(Base):
    """An organization that earns a fee from each invoice of a customer."""

    __tablename__ = "customer_affiliates"
    __table_args__ = (
        UniqueConstraint("customer_id", "affiliate_id"),
        CheckConstraint("customer_id <> affiliate_id", name="is_another_customer"),
        CheckConstraint("fee_percent BETWEEN 0 AND 100", name="fee_is_a_percentage"),
        CheckConstraint("end_date > start_date", name="ends_after_its_start"),
        Index(
            "uq_customer_affiliates_active_customer_id",
            "customer_id",
            unique=True,
            postgresql_where=text("is_active"),
        ),
    )

    id: Mapped[PrimaryKey]
    uuid: Mapped[PublicId]
    customer_id: Mapped[int] = mapped_column(ForeignKey("customers.id"))
    affiliate_id: Mapped[int] = mapped_column(ForeignKey("customers.id"), index=True)
    """The organization that earns the fees."""
    fee_percent: Mapped[Decimal] = mapped_column(
        Numeric(8, 5), default=Decimal(0), server_default="0"
    )
    """20 stands for 20 % of an invoice's price without tax, after compensations."""
    is_active: Mapped[bool] = mapped_column(default=True, server_default="true")
    start_date: Mapped[date | None]
    end_date: Mapped[date | None]
    """The first day without a fee."""
    created_at: Mapped[datetime]


class AffiliateFeeAccrual(Base):
    """The fee that an affiliate earned from one invoice."""

    __tablename__ = "affiliate_fee_accruals"
    __table_args__ = (
        UniqueConstraint("affiliate_link_id", "invoice_id"),
        CheckConstraint("amount <> 'NaN'", name="amount_is_a_number"),
    )

    id: Mapped[PrimaryKey]
    uuid: Mapped[PublicId]
    affiliate_link_id: Mapped[int] = mapped_column(ForeignKey("customer_affiliates.id"))
    invoice_id: Mapped[int] = mapped_column(ForeignKey("invoices.id"), index=True)
    amount: Mapped[Amount5]
    created_at: Mapped[datetime]


billed_invoice = table(
    "invoices",
    column("id", BigInteger),
    column("customer_id", BigInteger),
    column("year", SmallInteger),
    column("month", SmallInteger),
    column("uuid", Uuid),
    column("state", Text),
    column("total_price", Numeric),
)
"""The columns of an invoice that credits show. `app.invoices`, which imports this package, maps the
table."""
billed_item = table(
    "invoice_items",
    column("invoice_id", BigInteger),
    column("project_id", BigInteger),
    column("resource_id", BigInteger),
    column("offering_id", BigInteger),
    column("unit_price", Numeric),
    column("quantity", Numeric),
    column("price", Numeric),
    column("credit", Boolean),
    column("customer_credit_id", BigInteger),
)
"""The columns of an invoice's item, likewise."""
