"""The responses of the API of reports: the documented fields in their order."""

from typing import Annotated

from pydantic import Field, with_config
from typing_extensions import TypedDict

from app.api.schema_config import DOCUMENTED
from app.api.serializers import JsonNumber, UtcTimestamp, WireUuid
from app.payments.schemas import PaymentProfile


@with_config(DOCUMENTED)
class NestedPriceEstimate(TypedDict):
    """The cost of one month, not rounded."""

    total: JsonNumber
    """The sum of the items, without tax."""
    current: JsonNumber
    """The part of `total` that is due by now: hourly and daily items count by the hours and days
    that have begun."""
    tax: JsonNumber
    """The tax on `total`."""
    tax_current: JsonNumber
    """The tax on `current`."""


@with_config(DOCUMENTED)
class FinancialReport(TypedDict):
    """A customer with its payment profiles and its cost in a month."""

    name: Annotated[str, Field(max_length=150)]
    uuid: WireUuid
    abbreviation: Annotated[str, Field(max_length=12)]
    created: UtcTimestamp
    accounting_start_date: UtcTimestamp
    registration_code: Annotated[str, Field(max_length=160)]
    agreement_number: Annotated[str, Field(max_length=160)]
    payment_profiles: list[PaymentProfile]
    """All profiles for staff and support, the active one for an owner of the customer, else
    none."""
    billing_price_estimate: NestedPriceEstimate


class TotalCustomerCost(TypedDict):
    """The sums of the invoices of a month, not rounded."""

    total: JsonNumber
    price: JsonNumber
