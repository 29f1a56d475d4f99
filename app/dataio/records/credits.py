"""Records of credits, their ledger, and the fees of affiliates."""

from decimal import Decimal
from typing import Literal, Self
from uuid import UUID

from pydantic import AliasChoices, Field, field_validator, model_validator

from app.billing.enums import CreditTransactionType, MinimalConsumptionLogic
from app.dataio.field_types import Amount5, Balance, Day, FeePercent, Text, Time, WholePercent
from app.dataio.records.record import Record


class CustomerCreditRecord(Record):
    """A credit that pays items of a customer's invoices."""

    kind: Literal["customer_credit"] = "customer_credit"
    customer: UUID
    value: Balance
    end_date: Day | None = None
    """The day on which the value becomes zero."""
    expected_consumption: Balance = Field(
        default=Decimal(0),
        # Exports had the second name while the minimal consumption was not computed.
        validation_alias=AliasChoices("expected_consumption", "minimal_consumption"),
    )
    """The amount that the customer is expected to use each month."""
    minimal_consumption_logic: MinimalConsumptionLogic = MinimalConsumptionLogic.FIXED
    grace_coefficient: WholePercent = Decimal(0)
    """The percentage by which the consumption may be below the expected one."""
    apply_as_minimal_consumption: bool = True
    """Whether a part of the expected consumption that is not used is forfeited."""
    created_at: Time
    offerings: tuple[UUID, ...] = ()
    """The offerings whose items the credit pays, in any order; none means every item."""

    @field_validator("minimal_consumption_logic", mode="before")
    @classmethod
    def _default_logic(cls, value: object) -> object:
        """Accept the empty text of earlier exports."""
        return MinimalConsumptionLogic.FIXED if value == "" else value


class ProjectCreditRecord(Record):
    """A project's share of the customer's credit."""

    kind: Literal["project_credit"] = "project_credit"
    project: UUID
    value: Balance
    end_date: Day | None = None
    """The day on which the value becomes zero."""
    expected_consumption: Balance = Decimal(0)
    """The amount that the project is expected to use each month."""
    minimal_consumption_logic: MinimalConsumptionLogic = MinimalConsumptionLogic.FIXED
    grace_coefficient: WholePercent = Decimal(0)
    """The percentage by which the consumption may be below the expected one."""
    apply_as_minimal_consumption: bool = True
    """Whether a part of the expected consumption that is not used is forfeited."""
    mark_unused_credit_as_spent_on_project_termination: bool = False
    """Whether the value is taken from the customer's credit when the project is removed."""
    created_at: Time


class CustomerAffiliateRecord(Record):
    """An organization that earns a fee from each invoice of a customer."""

    kind: Literal["customer_affiliate"] = "customer_affiliate"
    customer: UUID
    affiliate: UUID
    """The organization that earns the fees, another customer."""
    fee_percent: FeePercent = Decimal(0)
    is_active: bool = True
    """At most one affiliate of a customer is active."""
    start_date: Day | None = None
    end_date: Day | None = None
    """The first day without a fee."""
    created_at: Time

    @model_validator(mode="after")
    def _check_customers_and_dates(self) -> Self:
        if self.customer == self.affiliate:
            raise ValueError("the affiliate must be another customer")
        if self.start_date and self.end_date and self.end_date <= self.start_date:
            raise ValueError("end_date must be after start_date")
        return self


class CreditTransactionRecord(Record):
    """A movement of the balance of one credit, in the ledger. An import never changes one.

    It names records by UUID, since it outlives them.
    """

    kind: Literal["credit_transaction"] = "credit_transaction"
    customer_uuid: UUID | None = None
    customer_credit_uuid: UUID | None = None
    """The customer credit whose balance moved."""
    project_credit_uuid: UUID | None = None
    """The project credit whose balance moved."""
    project_uuid: UUID | None = None
    """The project that the movement is about."""
    project_name: Text = ""
    """The name of the project at the time of the movement."""
    amount: Amount5
    """Positive if the balance rose."""
    transaction_type: CreditTransactionType
    comment: Text = ""
    billing_period: Day | None = None
    """The first day of the month that the movement is about."""
    invoice_uuid: UUID | None = None
    """The invoice that caused the movement."""
    created_at: Time

    @model_validator(mode="after")
    def _check_balance_and_period(self) -> Self:
        if self.customer_credit_uuid is not None and self.project_credit_uuid is not None:
            raise ValueError("a movement must be of one credit")
        if self.billing_period is not None and self.billing_period.day != 1:
            raise ValueError("billing_period must be the first day of a month")
        return self


class AffiliateFeeAccrualRecord(Record):
    """The fee that an affiliate earned from one invoice."""

    kind: Literal["affiliate_fee_accrual"] = "affiliate_fee_accrual"
    affiliate_link: UUID
    invoice: UUID
    amount: Amount5
    created_at: Time
