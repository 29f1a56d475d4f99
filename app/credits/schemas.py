"""The responses of the API of credits: the documented fields in their order."""

from datetime import date
from enum import StrEnum
from typing import Annotated
from uuid import UUID

from pydantic import with_config
from typing_extensions import TypedDict

from app.api.schema_config import DOCUMENTED
from app.api.serializers import (
    URI,
    DecimalString2,
    DecimalString5,
    JsonNumber,
    UtcTimestamp,
    WireUuid,
    decimal_schema,
    link,
)
from app.billing.enums import CreditTransactionType, MinimalConsumptionLogic

Balance = Annotated[DecimalString5, decimal_schema(11, 5)]
GracePercent = Annotated[str, decimal_schema(3, 0)]


class MinimalConsumptionLogicEnum(StrEnum):
    """The logics of the minimal consumption, under the name in the documented API."""

    FIXED = MinimalConsumptionLogic.FIXED
    LINEAR = MinimalConsumptionLogic.LINEAR


class TransactionTypeEnum(StrEnum):
    """The types of movements, under the name in the documented API."""

    ADJUSTMENT = CreditTransactionType.ADJUSTMENT
    AFFILIATE_FEE = CreditTransactionType.AFFILIATE_FEE
    COMPENSATION = CreditTransactionType.COMPENSATION
    EXPIRY = CreditTransactionType.EXPIRY
    MINIMAL_DRAW = CreditTransactionType.MINIMAL_DRAW
    PAYOUT = CreditTransactionType.PAYOUT
    ROLLBACK = CreditTransactionType.ROLLBACK
    STAFF_GRANT = CreditTransactionType.STAFF_GRANT
    TRANSFER_IN = CreditTransactionType.TRANSFER_IN
    TRANSFER_OUT = CreditTransactionType.TRANSFER_OUT
    WITHDRAWABLE_ADJUSTMENT = CreditTransactionType.WITHDRAWABLE_ADJUSTMENT


class NestedProviderOffering(TypedDict):
    """An offering that a credit pays."""

    uuid: WireUuid
    url: Annotated[UUID, link("marketplace-provider-offerings", platform=True), URI]
    type: str
    name: str


class NestedPublicOffering(TypedDict):
    """An offering that a credit pays."""

    uuid: WireUuid
    url: Annotated[UUID, link("marketplace-public-offerings", platform=True), URI]
    type: str
    name: str


@with_config(DOCUMENTED)
class CustomerCredit(TypedDict):
    """A credit that pays items of an organization's invoices."""

    uuid: WireUuid
    url: Annotated[UUID, link("customer-credits"), URI]
    value: Balance
    customer: Annotated[UUID, link("customers", platform=True), URI]
    customer_name: str
    customer_uuid: WireUuid
    customer_slug: str
    offerings: list[NestedProviderOffering]
    """The offerings whose items are paid; none means every item."""
    end_date: date | None
    """The day on which the value becomes zero."""
    expected_consumption: Balance
    minimal_consumption: JsonNumber
    """The amount of which the unused part is forfeited for the running month."""
    minimal_consumption_logic: MinimalConsumptionLogicEnum
    grace_coefficient: GracePercent
    """The percentage by which the consumption may be below the expected one."""
    apply_as_minimal_consumption: bool
    allocated_to_projects: JsonNumber
    """The sum of the credits of the organization's projects."""
    consumption_last_month: JsonNumber | None
    """The amount paid on the invoice of the last month, as in the ledger; null without one."""
    withdrawable_balance: JsonNumber
    """The part of the value that the organization earned."""


class CreateCustomerCredit(TypedDict):
    """A credit as the response to its creation or update shows it."""

    uuid: WireUuid
    url: Annotated[UUID, link("customer-credits"), URI]
    value: Balance
    customer: Annotated[UUID, link("customers", platform=True), URI]
    customer_name: str
    customer_uuid: WireUuid
    customer_slug: str
    offerings: list[Annotated[UUID, link("marketplace-provider-offerings", platform=True), URI]]
    end_date: date | None
    expected_consumption: Balance
    minimal_consumption: JsonNumber
    minimal_consumption_logic: MinimalConsumptionLogicEnum
    grace_coefficient: GracePercent
    apply_as_minimal_consumption: bool
    allocated_to_projects: JsonNumber
    consumption_last_month: JsonNumber | None
    withdrawable_balance: JsonNumber


@with_config(DOCUMENTED)
class ProjectCredit(TypedDict):
    """A project's share of the organization's credit."""

    uuid: WireUuid
    url: Annotated[UUID, link("project-credits"), URI]
    value: Balance
    project: Annotated[UUID, link("projects", platform=True), URI]
    project_name: str
    project_uuid: WireUuid
    project_slug: str
    customer_name: str
    customer_slug: str
    customer_uuid: WireUuid
    customer_credit: Balance | None
    """The organization's balance; null for callers with a role in the project alone."""
    allocated_customer_credit: Balance | None
    """The sum of the credits of the organization's projects; likewise null."""
    consumption_last_month: JsonNumber | None
    """The amount paid on the invoice of the last month, as in the ledger; null without one."""
    spendable_value: Balance
    """The smaller one of the project's and the organization's balances."""
    is_limited_by_organization_credit: bool
    offerings: list[NestedPublicOffering]
    """The offerings whose items are paid; empty for callers with a role in the project alone."""
    end_date: date | None
    """The day on which the value becomes zero."""
    expected_consumption: Balance
    minimal_consumption: JsonNumber
    """The amount of which the unused part is forfeited for the running month."""
    minimal_consumption_logic: MinimalConsumptionLogicEnum
    grace_coefficient: GracePercent
    """The percentage by which the consumption may be below the expected one."""
    apply_as_minimal_consumption: bool
    mark_unused_credit_as_spent_on_project_termination: bool
    """Whether the balance is taken from the organization, too, when the project is removed."""
    creditable_cost_this_month: Balance | None
    """The cost of the running month that the credit may pay; null without an invoice."""


@with_config(DOCUMENTED)
class CreditTransaction(TypedDict):
    """A movement of the balance of an organization or a project."""

    uuid: WireUuid
    created: UtcTimestamp
    amount: Balance
    """Positive if the balance rose."""
    transaction_type: TransactionTypeEnum
    transaction_type_display: str
    comment: str
    customer_uuid: WireUuid | None
    customer_name: str | None
    project_uuid: str
    """32 hex digits; empty for a movement of an organization's balance."""
    project_name: str
    billing_period: date | None
    """The first day of the month that the movement is about."""


class CustomerCreditConsumption(TypedDict):
    """The amount that a credit paid in a month."""

    date: date
    price: Annotated[DecimalString2, decimal_schema(20, 2)]


class _Affiliate(TypedDict):
    """A link of an organization to an affiliate."""

    uuid: WireUuid
    url: Annotated[UUID, link("customer-affiliates"), URI]
    customer: Annotated[UUID, link("customers", platform=True), URI]
    customer_name: str
    customer_uuid: WireUuid
    affiliate: Annotated[UUID, link("customers", platform=True), URI]
    affiliate_name: str
    affiliate_uuid: WireUuid
    fee_percent: Annotated[DecimalString5, decimal_schema(3, 5)]
    is_active: bool
    start_date: date | None
    end_date: date | None
    total_earned: JsonNumber
    created: UtcTimestamp


class CustomerAffiliate(_Affiliate):
    """An organization that earns a fee from each invoice of another one."""


class CreateCustomerAffiliate(_Affiliate):
    """A link as the response to its creation or update shows it."""


class AffiliateFeeAccrual(TypedDict):
    """The fee that an affiliate earned from one invoice."""

    uuid: WireUuid
    amount: Balance
    customer_name: str
    affiliate_uuid: WireUuid
    invoice_year: int
    invoice_month: int
    created: UtcTimestamp


class AffiliateEarningsMonth(TypedDict):
    """The fees of one month."""

    year: int
    month: int
    amount: Balance


class AffiliateEarnings(TypedDict):
    """The fees that a link earned."""

    total_earned: Balance
    withdrawable_balance: Balance
    per_month: list[AffiliateEarningsMonth]
