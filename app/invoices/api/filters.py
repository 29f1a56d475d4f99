"""The query parameters of the invoices API."""

from decimal import Decimal
from typing import Annotated, Any

from pydantic import Field, WithJsonSchema

from app import clock
from app.api.pagination import Paging
from app.api.query_parameters import (
    EMPTY_IS_READ,
    QueryDate,
    QueryDecimal,
    QueryFlag,
    QueryInteger,
    QueryParameters,
    QueryText,
    QueryTime,
    QueryUuid,
    QueryUuidText,
    RequiredTime,
    choices,
    order,
    orders,
)
from app.api.sparse_fields import array_of, selecting
from app.billing.enums import InvoiceState
from app.formats import find_uuid
from app.invoices.filter_set import NOTHING, RUNNING, WAITING, FilterSet
from app.invoices.schemas import FIELDS

_ORDERS = ("-created", "-month", "-year", "created", "month", "year")
_ITEM_ORDERS = tuple(
    sign + name
    for name in (
        "project_name",
        "resource_name",
        "provider_name",
        "name",
        "offering_name",
        "plan_name",
        "service_provider_name",
    )
    for sign in ("", "-")
)
_FINALIZATION = "pending_finalization"
"""A state of Waldur 8. No invoice has it here: there is no grace period after a month."""
_ROUNDING = Decimal(1)
"""More than any currency's total is rounded by."""
_YEARS = range(1, 10_000)
_MONTHS = range(1, 13)
_PLAIN = ("created", "start_date", "end_date", "customer_uuid", "min_sum", "max_sum")
"""Filters whose value is the parameter of the condition with their name."""


class AccountingFilter(QueryParameters):
    """Which customers count."""

    accounting_is_running: QueryFlag = Field(default=None, examples=[True])
    """Only customers whose accounting start date has passed, or only those where it has not."""


class InvoiceFilters(AccountingFilter):
    """Which invoices are meant; also where one is named, which must then match."""

    created: QueryDate = Field(default=None, examples=["2026-11-01"])
    """Created on this day."""
    customer: Annotated[str | None, WithJsonSchema({"type": "string"})] = Field(
        default=None,
        examples=["https://api.example.com/api/customers/a1b2c3d4e5f67890abcdef1234567890/"],
    )
    """Of the customer with this URL."""
    customer_uuid: QueryUuid = Field(
        default=None, examples=["a1b2c3d4-e5f6-7890-abcd-ef1234567890"]
    )
    """Of the customer with this UUID."""
    end_date: QueryDate = Field(default=None, examples=["2026-12-01"])
    """Created before this day."""
    max_sum: QueryDecimal = Field(default=None, examples=[1000])
    """With a total of at most this."""
    min_sum: QueryDecimal = Field(default=None, examples=[0.01])
    """With a total of at least this."""
    month: QueryInteger = Field(default=None, examples=[11])
    """Of this month of any year."""
    start_date: QueryDate = Field(default=None, examples=["2026-10-31"])
    """Created after this day."""
    state: Annotated[
        tuple[str, ...],
        choices([*InvoiceState, _FINALIZATION]),
        EMPTY_IS_READ,
        array_of(sorted(InvoiceState), style="form", explode=True),
    ] = Field(default=(), examples=[["created"]])
    """In any of these states."""
    year: QueryInteger = Field(default=None, examples=[2026])
    """Of this year."""


class InvoiceOrder(QueryParameters):
    """In which order invoices are listed."""

    o: Annotated[
        tuple[str, ...],
        orders(_ORDERS),
        array_of(_ORDERS, style="form", explode=False),
    ] = Field(default=(), examples=[["-year", "-month"]])
    """Ordering; `-` for descending. What is equal then is ordered newest first."""


class FieldSelection(QueryParameters):
    """What is sent of an invoice."""

    field: Annotated[tuple[str, ...], selecting(FIELDS), array_of(sorted(FIELDS))] = Field(
        default=FIELDS, examples=[["uuid", "total"]]
    )
    """Only these keys are sent; by default all."""


class NamedInvoice(InvoiceFilters, InvoiceOrder):
    """What is accepted where one invoice is named: it must match the filters of the list."""


class ListParameters(InvoiceFilters, InvoiceOrder, Paging, FieldSelection):
    """What the list of invoices and its count read."""


class RetrieveParameters(NamedInvoice, FieldSelection):
    """What one invoice reads."""


class ItemsParameters(InvoiceFilters):
    """What the items of an invoice read."""

    conceal_compensation_items: QueryFlag = Field(default=None, examples=[True])
    """Conceal compensation items"""
    o: Annotated[
        str | None,
        order(_ITEM_ORDERS),
        WithJsonSchema({"type": "string", "enum": list(_ITEM_ORDERS)}),
    ] = Field(default=None, examples=["-name"])
    """Order results by field"""
    offering_uuid: QueryUuidText = None
    """Of this offering."""
    project_uuid: QueryUuidText = None
    """Of this project."""
    provider_uuid: QueryUuidText = None
    """Of this service provider, by its own UUID or its customer's."""
    query: QueryText = Field(default=None, examples=["database"])
    """Of resources whose names contain this, in any case."""


class StatsParameters(InvoiceFilters, InvoiceOrder, Paging):
    """What the sums by offering read."""

    provider_uuid: QueryUuidText = None
    """Of this service provider, by its own UUID or its customer's."""


class HistoryParameters(InvoiceFilters, InvoiceOrder, Paging):
    """What the history of an invoice reads; its order is always newest first."""

    customer: Annotated[str | None, WithJsonSchema({"type": "string", "format": "uri"})] = Field(
        default=None,
        examples=["https://api.example.com/api/customers/a1b2c3d4e5f67890abcdef1234567890/"],
    )
    """Of the customer with this URL."""
    created_after: QueryTime = Field(default=None, examples=["2026-11-01T00:00:00Z"])
    """Filter versions created after this timestamp (ISO 8601), or at it."""
    created_before: QueryTime = Field(default=None, examples=["2026-12-01T00:00:00Z"])
    """Filter versions created before this timestamp (ISO 8601), or at it."""


class MomentParameters(NamedInvoice):
    """What an invoice at a moment reads."""

    timestamp: RequiredTime = Field(examples=["2026-11-15T12:00:00Z"])
    """ISO 8601 timestamp to query the object state at; without an offset it is in UTC."""


class GrowthParameters(AccountingFilter):
    """What the growth of sums reads."""

    accounting_mode: QueryText = Field(default=None, examples=["accounting"])
    """`accounting` counts prices without tax, anything else totals with tax."""
    customers_count: Annotated[
        str | None,
        EMPTY_IS_READ,
        WithJsonSchema({"type": "integer", "minimum": 0, "maximum": 20}),
    ] = Field(default=None, examples=[4])
    """How many customers are major: 4 unless said otherwise."""


def filter_set(filters: InvoiceFilters) -> FilterSet:
    """Return the conditions of the given filters."""
    names: list[str] = []
    values: dict[str, Any] = {}
    for name in _PLAIN:
        if (value := getattr(filters, name)) is not None:
            names.append(name)
            values[name] = value
    for name, possible in (("year", _YEARS), ("month", _MONTHS)):
        if (value := getattr(filters, name)) is not None:
            names.append(name if value in possible else NOTHING)
            values[name] = value
    states = [state for state in filters.state if state != _FINALIZATION]
    if len(states) == 1:
        names.append("state")
        values["state"] = states[0]
    elif filters.state:
        names.append("states" if states else NOTHING)
        values["states"] = states
    if filters.customer is not None:
        values["customer"] = find_uuid(filters.customer)
        names.append("customer" if values["customer"] else NOTHING)
    if filters.accounting_is_running is not None:
        names.append(RUNNING if filters.accounting_is_running else WAITING)
        values["now"] = clock.now()
    if filters.min_sum is not None:
        values["least_cost"] = filters.min_sum - _ROUNDING
    if filters.max_sum is not None:
        values["most_cost"] = filters.max_sum + _ROUNDING
    return FilterSet(tuple(names), values)
