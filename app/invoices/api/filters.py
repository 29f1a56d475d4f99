"""The query parameters of the invoices API, and the conditions that they make."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, Self

from pydantic import Field, WithJsonSchema
from sqlalchemy import (
    ARRAY,
    BindParameter,
    ColumnElement,
    Date,
    DateTime,
    Numeric,
    ScalarSelect,
    Text,
    UnaryExpression,
    and_,
    any_,
    bindparam,
    false,
    literal_column,
    select,
)
from sqlalchemy.types import TypeEngine

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
    find_uuid,
    order,
    orders,
)
from app.api.sparse_fields import array_of, selecting
from app.billing.enums import InvoiceState
from app.customers.models import Customer
from app.invoices.models import Invoice, InvoiceTally
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
"""A state of Waldur 8, in which no invoice is here: there is no grace period after a month."""
_NEWEST_FIRST = ("-year", "-month", "-number")
_SLACK = Decimal(1)
"""More than any currency's total is rounded by."""
_YEARS = range(1, 10_000)
_MONTHS = range(1, 13)
_GIVEN_AS_THEY_ARE = ("created", "start_date", "end_date", "customer_uuid", "min_sum", "max_sum")


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


def accounting_condition(running: bool) -> ColumnElement[bool]:
    """Return the condition that a customer's accounting has started, or that it has not.

    A statement with it is executed with the parameter `now`.
    """
    start = Customer.accounting_start_date
    now = written("now", DateTime(timezone=True))
    return start <= now if running else start > now


def written(name: str, type_: TypeEngine[Any]) -> BindParameter[Any]:
    """Return a parameter whose value is written into the statement each time.

    Of a range PostgreSQL must know the bounds to choose well between reading what is within it
    and reading in order until enough is found.
    """
    return bindparam(name, type_=type_, literal_execute=True)


def _customer_with(parameter: str) -> ScalarSelect[int]:
    return select(Customer.id).where(Customer.uuid == bindparam(parameter)).scalar_subquery()


def _accounting(running: bool) -> ColumnElement[bool]:
    return Invoice.customer_id.in_(select(Customer.id).where(accounting_condition(running)))


# The exact total decides; the rounded one, which has an index, leads there. Not as the column's
# type, which would round what is asked for, or be too narrow for it.
# A division would round totals of more than twelve digits.
_TOTAL = Invoice.total_price * (100 + Invoice.tax_percent) * literal_column("0.01", Numeric())
_NUMBER = Numeric()

RUNNING = "accounting_is_running"
WAITING = "accounting_is_waiting"

_CONDITIONS: dict[str, ColumnElement[bool]] = {
    "nothing": false(),
    "created": Invoice.created == bindparam("created"),
    "start_date": Invoice.created > written("start_date", Date()),
    "end_date": Invoice.created < written("end_date", Date()),
    "year": Invoice.year == bindparam("year"),
    "month": Invoice.month == bindparam("month"),
    "state": Invoice.state == bindparam("state"),
    "states": Invoice.state == any_(bindparam("states", type_=ARRAY(Text))),
    "customer": Invoice.customer_id == _customer_with("customer"),
    "customer_uuid": Invoice.customer_id == _customer_with("customer_uuid"),
    RUNNING: _accounting(True),
    WAITING: _accounting(False),
    "min_sum": and_(
        Invoice.total_cost >= written("least_cost", _NUMBER),
        written("min_sum", _NUMBER) <= _TOTAL,
    ),
    "max_sum": and_(
        Invoice.total_cost <= written("most_cost", _NUMBER),
        written("max_sum", _NUMBER) >= _TOTAL,
    ),
}
"""What invoices must fulfil to match a filter, by its name in `Narrowing`."""

TALLIED: dict[str, ColumnElement[bool]] = {
    "nothing": false(),
    "year": InvoiceTally.year == bindparam("year"),
    "month": InvoiceTally.month == bindparam("month"),
    "state": InvoiceTally.state == bindparam("state"),
    "states": InvoiceTally.state == any_(bindparam("states", type_=ARRAY(Text))),
}
"""The same of tallies, for those filters by which they are kept."""


@dataclass(frozen=True, slots=True)
class Narrowing:
    """Filters as conditions by name, and as their values: equal names make equal statements."""

    names: tuple[str, ...]
    values: dict[str, Any]

    @classmethod
    def of(cls, filters: InvoiceFilters, now: datetime) -> Self:
        """Return what the filters that were given come to at a moment."""
        values: dict[str, Any] = {}
        names: list[str] = []
        for name in _GIVEN_AS_THEY_ARE:
            if (value := getattr(filters, name)) is not None:
                names.append(name)
                values[name] = value
        for name, there_are in (("year", _YEARS), ("month", _MONTHS)):
            if (value := getattr(filters, name)) is not None:
                names.append(name if value in there_are else "nothing")
                values[name] = value
        states = [state for state in filters.state if state != _FINALIZATION]
        if len(states) == 1:
            names.append("state")
            values["state"] = states[0]
        elif states:
            names.append("states")
            values["states"] = states
        elif filters.state:
            names.append("nothing")
        if filters.customer is not None:
            values["customer"] = find_uuid(filters.customer)
            names.append("customer" if values["customer"] else "nothing")
        if filters.accounting_is_running is not None:
            names.append(RUNNING if filters.accounting_is_running else WAITING)
            values["now"] = now
        if filters.min_sum is not None:
            values["least_cost"] = filters.min_sum - _SLACK
        if filters.max_sum is not None:
            values["most_cost"] = filters.max_sum + _SLACK
        return cls(tuple(names), values)


def conditions(names: Sequence[str]) -> list[ColumnElement[bool]]:
    """Return what invoices must fulfil; a statement with it is executed with the values."""
    return [_CONDITIONS[name] for name in names]


def ordering(
    order: Sequence[str], of: Any = Invoice, *, backwards: bool = False
) -> list[UnaryExpression[Any]]:
    """Return the order of a list: as asked, then newest first, which is total.

    `of` has the columns of an invoice by name; `backwards` is from the last invoice to the first.
    """
    words = [*order, *_NEWEST_FIRST]
    return [
        column.desc() if word.startswith("-") is not backwards else column.asc()
        for word in words
        for column in [getattr(of, word.removeprefix("-"))]
    ]
