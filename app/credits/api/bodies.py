"""The bodies of requests that change credits."""

from datetime import date
from decimal import Decimal
from typing import Annotated
from uuid import UUID

from app.api.body_fields import Boolean, Choice, Date, Text
from app.api.body_links import Link, Links
from app.api.body_numbers import DecimalNumber
from app.api.request_model import OPTIONAL, RequestModel, partial_model
from app.billing.enums import MinimalConsumptionLogic

_Balance = DecimalNumber(16, 5, minimum=Decimal(0))
_Percent = DecimalNumber(3, 0, minimum=Decimal(0), maximum=Decimal(100))


class _CreditTerms(RequestModel):
    """The fields that the credits of organizations and of projects share."""

    value: Annotated[Decimal, _Balance] = OPTIONAL
    end_date: Annotated[date | None, Date()] = OPTIONAL
    """The first day of a month, on which the value becomes zero."""
    expected_consumption: Annotated[Decimal, _Balance] = OPTIONAL
    """Below the value. Without it, a linear credit is spread over the months until its end."""
    minimal_consumption_logic: Annotated[
        MinimalConsumptionLogic, Choice(MinimalConsumptionLogic)
    ] = OPTIONAL
    grace_coefficient: Annotated[Decimal, _Percent] = OPTIONAL
    """The percentage by which the consumption may be below the expected one."""
    apply_as_minimal_consumption: Annotated[bool, Boolean()] = OPTIONAL
    """Whether a part of the expected consumption that is not used is forfeited."""


class CreateCustomerCreditRequest(_CreditTerms):
    """The credit of an organization."""

    customer: Annotated[UUID, Link(("customers",))]
    offerings: Annotated[
        list[UUID], Links(("marketplace-provider-offerings", "marketplace-public-offerings"))
    ] = OPTIONAL
    """The offerings whose items are paid; none means every item."""


PatchedCreateCustomerCreditRequest = partial_model(CreateCustomerCreditRequest)


class ProjectCreditRequest(_CreditTerms):
    """A project's share of the credit of its organization."""

    project: Annotated[UUID, Link(("projects",))]
    mark_unused_credit_as_spent_on_project_termination: Annotated[bool, Boolean()] = OPTIONAL
    """Whether the balance is taken from the organization, too, when the project is removed."""


PatchedProjectCreditRequest = partial_model(ProjectCreditRequest)


class WithdrawableAdjustmentRequest(RequestModel):
    """A change of the withdrawable balance."""

    amount: Annotated[Decimal, DecimalNumber(16, 5)]
    """Positive if the balance rises."""
    comment: Annotated[str, Text()]


class CreateCustomerAffiliateRequest(RequestModel):
    """A link of an organization to an affiliate."""

    customer: Annotated[UUID, Link(("customers",))]
    affiliate: Annotated[UUID, Link(("customers",))]
    """The organization that earns the fees."""
    fee_percent: Annotated[
        Decimal, DecimalNumber(8, 5, minimum=Decimal(0), maximum=Decimal(100))
    ] = OPTIONAL
    """The percentage of the price of each invoice, after compensations and without tax."""
    is_active: Annotated[bool, Boolean()] = OPTIONAL
    start_date: Annotated[date | None, Date()] = OPTIONAL
    end_date: Annotated[date | None, Date()] = OPTIONAL
    """The first day without a fee."""


PatchedCreateCustomerAffiliateRequest = partial_model(CreateCustomerAffiliateRequest)
