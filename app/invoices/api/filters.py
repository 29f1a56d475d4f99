"""The query parameters of the invoices API."""

import re
from decimal import Decimal
from typing import Annotated, Any

from pydantic import Field, WithJsonSchema

from app import clock
from app.api.pagination import Paging
from app.api.query_parameters import (
    EMPTY_COUNTS,
    QueryBoolean,
    QueryDate,
    QueryDecimal,
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
    parse_integer,
)
from app.api.sparse_fields import array_of, sparse_fieldset
from app.billing.enums import InvoiceState
from app.database.filter_set import NOTHING, FilterSet
from app.domain_errors import RuleViolation
from app.formats import find_uuid
from app.invoices.filter_set import RUNNING, WAITING
from app.invoices.queries.growth import GrowthQuery
from app.invoices.queries.items import ItemFilters
from app.invoices.schemas import INVOICE_FIELDS

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
_ROUNDING = Decimal(1)
"""More than any currency's total is rounded by."""
_YEARS = range(1, 10_000)
_MONTHS = range(1, 13)
_DEFAULT_CUSTOMERS = 4
_MAX_CUSTOMERS = 20
_PLAIN = ("created", "start_date", "end_date", "customer_uuid", "min_sum", "max_sum")
"""Filters whose value is the parameter of the condition with their name."""


class AccountingFilter(QueryParameters):
    """The filter by the accounting of customers."""

    accounting_is_running: QueryBoolean = Field(default=None, examples=[True])
    """Only customers whose accounting start date has passed (`true`), or has not (`false`)."""


class InvoiceFilters(AccountingFilter):
    """The filters of invoices. A single requested invoice must match them too."""

    created: QueryDate = Field(default=None, examples=["2026-11-01"])
    """Created on this date."""
    customer: Annotated[str | None, WithJsonSchema({"type": "string"})] = Field(
        default=None,
        examples=["https://api.example.com/api/customers/a1b2c3d4e5f67890abcdef1234567890/"],
    )
    """Invoices of the customer with this URL."""
    customer_uuid: QueryUuid = Field(
        default=None, examples=["a1b2c3d4-e5f6-7890-abcd-ef1234567890"]
    )
    """Invoices of the customer with this UUID."""
    end_date: QueryDate = Field(default=None, examples=["2026-12-01"])
    """Created before this date."""
    max_sum: QueryDecimal = Field(default=None, examples=[1000])
    """Total of at most this amount."""
    min_sum: QueryDecimal = Field(default=None, examples=[0.01])
    """Total of at least this amount."""
    month: QueryInteger = Field(default=None, examples=[11])
    """Invoices for this month, of any year."""
    start_date: QueryDate = Field(default=None, examples=["2026-10-31"])
    """Created after this date."""
    state: Annotated[
        tuple[str, ...],
        choices(InvoiceState),
        EMPTY_COUNTS,
        array_of("InvoiceStateEnum", sorted(InvoiceState), style="form", explode=True),
    ] = Field(default=(), examples=[["created"]])
    """Invoices in any of these states."""
    year: QueryInteger = Field(default=None, examples=[2026])
    """Invoices for this year."""


class InvoiceOrder(QueryParameters):
    """The order of a list of invoices."""

    o: Annotated[
        tuple[str, ...],
        orders(_ORDERS),
        array_of("InvoiceOEnum", _ORDERS, style="form", explode=False),
    ] = Field(default=(), examples=[["-year", "-month"]])
    """Ordering; `-` for descending. Equal invoices are ordered newest first."""


class FieldSelection(QueryParameters):
    """The sparse fieldset of an invoice."""

    field: Annotated[
        tuple[str, ...],
        sparse_fieldset(INVOICE_FIELDS),
        array_of("InvoiceFieldEnum", sorted(INVOICE_FIELDS)),
    ] = Field(default=INVOICE_FIELDS, examples=[["uuid", "total"]])
    """Return only these fields; all by default."""


class NamedInvoice(InvoiceFilters, InvoiceOrder):
    """The parameters of an operation on one invoice: the filters and the order of the list."""


class ListParameters(InvoiceFilters, InvoiceOrder, Paging, FieldSelection):
    """The parameters of the list of invoices and of its count."""


class RetrieveParameters(NamedInvoice, FieldSelection):
    """The parameters of one invoice."""


class ItemsParameters(InvoiceFilters):
    """The parameters of the items of an invoice."""

    conceal_compensation_items: QueryBoolean = Field(default=None, examples=[True])
    """Conceal compensation items"""
    o: Annotated[
        str | None,
        order(_ITEM_ORDERS),
        WithJsonSchema({"type": "string", "enum": list(_ITEM_ORDERS)}),
    ] = Field(default=None, examples=["-name"])
    """Order results by field"""
    offering_uuid: QueryUuidText = None
    """Items of this offering."""
    project_uuid: QueryUuidText = None
    """Items of this project."""
    provider_uuid: QueryUuidText = None
    """Only this service provider, by its own UUID or its customer's."""
    query: QueryText = Field(default=None, examples=["database"])
    """Items of resources whose names contain this text, ignoring case."""


class StatsParameters(InvoiceFilters, InvoiceOrder, Paging):
    """The parameters of the totals by offering."""

    provider_uuid: QueryUuidText = None
    """Only this service provider, by its own UUID or its customer's."""


class HistoryParameters(InvoiceFilters, InvoiceOrder, Paging):
    """The parameters of the history of an invoice. Its order is always newest first."""

    customer: Annotated[str | None, WithJsonSchema({"type": "string", "format": "uri"})] = Field(
        default=None,
        examples=["https://api.example.com/api/customers/a1b2c3d4e5f67890abcdef1234567890/"],
    )
    """Invoices of the customer with this URL."""
    created_after: QueryTime = Field(default=None, examples=["2026-11-01T00:00:00Z"])
    """Versions created at or after this timestamp (ISO 8601)."""
    created_before: QueryTime = Field(default=None, examples=["2026-12-01T00:00:00Z"])
    """Versions created at or before this timestamp (ISO 8601)."""


class MomentParameters(NamedInvoice):
    """The parameters of an invoice at a time."""

    timestamp: RequiredTime = Field(examples=["2026-11-15T12:00:00Z"])
    """ISO 8601 timestamp to query the object state at; in UTC if it has no offset."""


class GrowthParameters(AccountingFilter):
    """The parameters of the growth."""

    accounting_mode: QueryText = Field(default=None, examples=["accounting"])
    """`accounting` adds up prices without tax; any other value, totals with tax."""
    customers_count: Annotated[
        str | None,
        EMPTY_COUNTS,
        WithJsonSchema({"type": "integer", "minimum": 0, "maximum": 20}),
    ] = Field(default=None, examples=[4])
    """Number of major customers; 4 by default."""


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
    if len(filters.state) == 1:
        names.append("state")
        values["state"] = filters.state[0]
    elif filters.state:
        names.append("states")
        values["states"] = filters.state
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


def item_filters(parameters: ItemsParameters) -> ItemFilters:
    """Return the filters on the items of an invoice."""
    return ItemFilters(
        without_credits=bool(parameters.conceal_compensation_items),
        resource_name=parameters.query,
        project_uuid=parameters.project_uuid,
        offering_uuid=parameters.offering_uuid,
        provider_uuid=parameters.provider_uuid,
        order=parameters.o,
    )


def growth_query(parameters: GrowthParameters) -> GrowthQuery:
    """Return the sums to compare; raises RuleViolation if the number of customers is invalid."""
    return GrowthQuery(
        _customers_count(parameters.customers_count),
        parameters.accounting_is_running,
        with_tax=parameters.accounting_mode != "accounting",
    )


def _customers_count(text: str | None) -> int:
    if text is None:
        return _DEFAULT_CUSTOMERS
    if not re.fullmatch(r"\s*[+-]?[0-9]+\s*", text):
        raise RuleViolation("customers_count is not a number")
    count = parse_integer(text.strip())
    if count > _MAX_CUSTOMERS:
        raise RuleViolation(f"customers_count should not be greater than {_MAX_CUSTOMERS}")
    if count < 0:
        raise RuleViolation("customers_count should not be less than 0")
    return count
