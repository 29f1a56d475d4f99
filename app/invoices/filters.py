"""The query parameters of the invoices API, and the conditions that they make."""

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any

from pydantic import Field, WithJsonSchema
from sqlalchemy import (
    BindParameter,
    ColumnElement,
    Numeric,
    ScalarSelect,
    UnaryExpression,
    false,
    literal,
    select,
)

from app.billing.vocabulary import InvoiceState
from app.customers.tables import Customer
from app.http.pagination import Paging
from app.http.parameters import (
    QueryDate,
    QueryDecimal,
    QueryFlag,
    QueryInteger,
    QueryParameters,
    QueryText,
    QueryUuid,
    QueryUuidText,
    choice,
    choices,
    find_uuid,
)
from app.http.selection import array_of, selecting
from app.invoices.schemas import FIELDS
from app.invoices.tables import Invoice

_ORDERS = ("-created", "-month", "-year", "created", "month", "year")
_ITEM_ORDERS = tuple(
    sign + name
    for name in ("project_name", "resource_name", "provider_name", "name")
    for sign in ("", "-")
)
_CENT = Decimal("0.01")
_YEARS = range(1, 10_000)
_MONTHS = range(1, 13)


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
        choices(InvoiceState),
        array_of(sorted(InvoiceState), style="form", explode=True),
    ] = Field(default=(), examples=[["created"]])
    """In any of these states."""
    year: QueryInteger = Field(default=None, examples=[2026])
    """Of this year."""


class InvoiceOrder(QueryParameters):
    """In which order invoices are listed."""

    o: Annotated[
        tuple[str, ...],
        choices(_ORDERS, commas=True),
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


class CountParameters(InvoiceFilters, InvoiceOrder, Paging):
    """What the count of invoices reads."""


class ListParameters(CountParameters, FieldSelection):
    """What the list of invoices reads."""


class RetrieveParameters(NamedInvoice, FieldSelection):
    """What one invoice reads."""


class ItemsParameters(InvoiceFilters):
    """What the items of an invoice read."""

    conceal_compensation_items: QueryFlag = Field(default=None, examples=[True])
    """Conceal compensation items"""
    o: Annotated[
        str | None,
        choice(_ITEM_ORDERS),
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


class GrowthParameters(AccountingFilter):
    """What the growth of sums reads."""

    accounting_mode: QueryText = Field(default=None, examples=["accounting"])
    """`accounting` counts prices without tax, anything else totals with tax."""
    customers_count: Annotated[
        str | None, WithJsonSchema({"type": "integer", "minimum": 0, "maximum": 20})
    ] = Field(default=None, examples=[4])
    """How many customers are major: 4 unless said otherwise."""


def accounting_condition(running: bool, now: datetime) -> ColumnElement[bool]:
    """Return the condition that a customer's accounting has started, or that it has not."""
    start = Customer.accounting_start_date
    return start <= now if running else start > now


def conditions(filters: InvoiceFilters, now: datetime) -> list[ColumnElement[bool]]:
    """Return what invoices must fulfil to match the filters."""
    found: list[ColumnElement[bool]] = []
    if filters.created:
        found.append(Invoice.created == filters.created)
    if filters.start_date:
        found.append(Invoice.created > filters.start_date)
    if filters.end_date:
        found.append(Invoice.created < filters.end_date)
    if filters.year is not None:
        found.append(Invoice.year == filters.year if filters.year in _YEARS else false())
    if filters.month is not None:
        found.append(Invoice.month == filters.month if filters.month in _MONTHS else false())
    if filters.state:
        found.append(Invoice.state.in_(filters.state))
    return found + _customer_conditions(filters, now) + _sum_conditions(filters)


def _customer_conditions(filters: InvoiceFilters, now: datetime) -> list[ColumnElement[bool]]:
    found: list[ColumnElement[bool]] = []
    if filters.customer is not None:
        uuid = find_uuid(filters.customer)
        found.append(Invoice.customer_id == _customer_id(uuid) if uuid else false())
    if filters.customer_uuid:
        found.append(Invoice.customer_id == _customer_id(filters.customer_uuid))
    if filters.accounting_is_running is not None:
        started = accounting_condition(filters.accounting_is_running, now)
        found.append(Invoice.customer_id.in_(select(Customer.id).where(started)))
    return found


def _customer_id(uuid: Any) -> ScalarSelect[int]:
    return select(Customer.id).where(Customer.uuid == uuid).scalar_subquery()


def _sum_conditions(filters: InvoiceFilters) -> list[ColumnElement[bool]]:
    # The exact total decides; the rounded one, which has an index, leads there.
    found: list[ColumnElement[bool]] = []
    total = Invoice.total_price * (100 + Invoice.tax_percent) / 100
    if filters.min_sum is not None:
        least = filters.min_sum
        found += [Invoice.total_cost >= _exactly(least - _CENT), total >= _exactly(least)]
    if filters.max_sum is not None:
        most = filters.max_sum
        found += [Invoice.total_cost <= _exactly(most + _CENT), total <= _exactly(most)]
    return found


def _exactly(value: Decimal) -> BindParameter[Decimal]:
    # Not as the column's type, which would round what is asked for, or be too narrow for it.
    return literal(value, Numeric())


def ordering(order: tuple[str, ...]) -> list[UnaryExpression[Any]]:
    """Return the order of a list: as asked, then newest first, which is total."""
    columns = {"created": Invoice.created, "year": Invoice.year, "month": Invoice.month}
    asked = [
        columns[word[1:]].desc() if word.startswith("-") else columns[word].asc() for word in order
    ]
    return [*asked, Invoice.year.desc(), Invoice.month.desc(), Invoice.number.desc()]
