"""Sums of items: of a filtered list, by month, and over a span of months."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from functools import lru_cache
from typing import Any, Final
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    Integer,
    RowMapping,
    and_,
    bindparam,
    cast,
    func,
    select,
    true,
    tuple_,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from app import clock
from app.billing.periods import Period
from app.customers.models import Customer, Project
from app.database.filter_set import FilterSet, conditions_of
from app.database.statements import AnySelect
from app.domain_errors import NotFound
from app.identity.access import (
    Scope,
    visibility_of,
    visible_customers,
    visible_customers_or_projects,
)
from app.identity.caller import Caller
from app.invoices.models import Invoice, InvoiceItem
from app.invoices.queries.item_lists import (
    ITEM_CONDITIONS,
    item_of_project,
    item_of_resource,
    visible_items,
)
from app.invoices.queries.items import ITEM_ORDER

_exact: Final = InvoiceItem.unit_price * InvoiceItem.quantity


@dataclass(frozen=True, slots=True)
class ExactTotal:
    """The sum of unit price times quantity over items."""

    total: Decimal
    """Not rounded."""
    items: int


@dataclass(frozen=True, slots=True)
class MonthlyCosts:
    """The prices of a project's items on the invoices of one month."""

    period: Period
    price: Decimal
    compensation: Decimal
    """Of items with a negative unit price."""
    incurred: Decimal
    """Of items with a positive unit price."""


@dataclass(frozen=True, slots=True)
class ProjectCosts:
    """The costs of a project, by month."""

    months: Sequence[MonthlyCosts]
    """Newest first."""
    running: Period
    """The running month."""
    current_items: Sequence[RowMapping]
    """Its items that cost something."""


@dataclass(frozen=True, slots=True)
class SpanCosts:
    """The costs of a span of months."""

    total: Decimal
    first_day: date
    last_day: date


async def read_exact_total(
    connection: AsyncConnection, caller: Caller, filters: FilterSet
) -> ExactTotal:
    """Return the sum over the items of the list that match the filters."""
    scope, values = visibility_of(caller, clock.now())
    statement = _exact_total(scope, filters.names)
    row = (await connection.execute(statement, {**filters.values, **values})).one()
    return ExactTotal(*row)


async def read_project_costs(
    connection: AsyncConnection, caller: Caller, project: UUID
) -> ProjectCosts:
    """Return the costs of the items of a project that the caller may see; none if there are none.

    A month has the prices that its invoices charge, so that they add up to the invoices' prices.
    """
    scope, values = visibility_of(caller, clock.now())
    running = Period.containing(clock.today())
    values |= {"project": project, "year": running.year, "month": running.month}
    rows = (await connection.execute(_months(scope), values)).all()
    months = [MonthlyCosts(Period(year, month), *sums) for year, month, *sums in rows]
    items: Sequence[RowMapping] = []
    if any(month.period == running for month in months):
        items = (await connection.execute(_current_items(scope), values)).mappings().all()
    return ProjectCosts(months, running, items)


async def read_costs_of_project(
    connection: AsyncConnection,
    caller: Caller,
    project: UUID,
    months: int | None,
    resource: UUID | None = None,
) -> SpanCosts:
    """Return the costs of a project, or of one of its resources, over the last months.

    The running month is the last of them; None is all months. Raises NotFound if the caller sees
    neither the customer nor the billing of the project.
    """
    values = {"project": project} | ({} if resource is None else {"resource": resource})
    statement = _of_project_over_span
    row = await _read_span(connection, caller, statement, months, values, resource is not None)
    if row is None:
        raise NotFound("No Project matches the given query.")
    return row


async def read_costs_of_customer(
    connection: AsyncConnection, caller: Caller, customer: UUID, months: int | None
) -> SpanCosts:
    """Return the costs of a customer over the last months, as `read_costs_of_project` does.

    Raises NotFound if the caller does not see the customer.
    """
    values = {"customer": customer}
    row = await _read_span(connection, caller, _of_customer_over_span, months, values)
    if row is None:
        raise NotFound("No Customer matches the given query.")
    return row


async def _read_span(
    connection: AsyncConnection,
    caller: Caller,
    statement: Any,
    months: int | None,
    values: dict[str, Any],
    *options: bool,
) -> SpanCosts | None:
    scope, parameters = visibility_of(caller, clock.now())
    running = Period.containing(clock.today())
    if months is not None:
        first = running.shifted(1 - months)
        values = values | {
            "first_year": first.year, "first_month": first.month,
            "last_year": running.year, "last_month": running.month,
        }  # fmt: skip
    built = statement(scope, months is not None, *options)
    row = (await connection.execute(built, parameters | values)).one_or_none()
    if row is None:
        return None
    total, oldest, newest = row
    if months is None:
        first = running if oldest is None else Period(*divmod(oldest, 100))
        last = running if newest is None else max(running, Period(*divmod(newest, 100)))
    else:
        last = running
    return SpanCosts(total, first.first_day, last.last_day)


@lru_cache
def _exact_total(scope: Scope, names: tuple[str, ...]) -> AnySelect:
    conditions = conditions_of(names, ITEM_CONDITIONS)
    return (
        select(func.coalesce(func.sum(_exact), 0), func.count())
        .select_from(InvoiceItem)
        .join(Invoice, Invoice.id == InvoiceItem.invoice_id)
        .where(visible_items(scope), *conditions)
    )


def _sum(*conditions: ColumnElement[bool]) -> ColumnElement[Decimal]:
    return func.coalesce(func.sum(InvoiceItem.price).filter(and_(true(), *conditions)), 0)


@lru_cache
def _months(scope: Scope) -> AnySelect:
    return (
        select(
            Invoice.year,
            Invoice.month,
            _sum(),
            _sum(InvoiceItem.unit_price < 0),
            _sum(InvoiceItem.unit_price > 0),
        )
        .join(Invoice, Invoice.id == InvoiceItem.invoice_id)
        .where(item_of_project("project"), visible_items(scope))
        .group_by(Invoice.year, Invoice.month)
        .order_by(Invoice.year.desc(), Invoice.month.desc())
    )


@lru_cache
def _current_items(scope: Scope) -> AnySelect:
    return (
        select(
            InvoiceItem.name,
            InvoiceItem.unit_price,
            InvoiceItem.unit,
            InvoiceItem.quantity,
            InvoiceItem.measured_unit,
            InvoiceItem.price,
        )
        .join(Invoice, Invoice.id == InvoiceItem.invoice_id)
        .where(
            item_of_project("project"),
            visible_items(scope),
            Invoice.year == bindparam("year"),
            Invoice.month == bindparam("month"),
            InvoiceItem.unit_price > 0,
        )
        .order_by(*ITEM_ORDER)
    )


def _within_span(is_limited: bool) -> ColumnElement[bool]:
    if not is_limited:
        return true()
    month = tuple_(Invoice.year, Invoice.month)
    return and_(
        month >= tuple_(bindparam("first_year"), bindparam("first_month")),
        month <= tuple_(bindparam("last_year"), bindparam("last_month")),
    )


def _sum_and_months(amount: ColumnElement[Decimal]) -> tuple[ColumnElement[Any], ...]:
    """Return the sum, and the first and the last month, as year times 100 plus month."""
    month = cast(Invoice.year, Integer) * 100 + cast(Invoice.month, Integer)
    total = func.coalesce(func.sum(amount), 0)
    return total.label("total"), func.min(month).label("oldest"), func.max(month).label("newest")


@lru_cache
def _of_project_over_span(scope: Scope, is_limited: bool, of_resource: bool) -> AnySelect:
    project = (
        select(Project.id)
        .where(
            Project.uuid == bindparam("project"),
            visible_customers_or_projects(
                Project.customer_id, Project.id, scope, with_billing=True
            ),
        )
        .subquery("project")
    )
    sums = (
        select(*_sum_and_months(InvoiceItem.price.expression))
        .join(Invoice, Invoice.id == InvoiceItem.invoice_id)
        .where(
            InvoiceItem.project_id == project.c.id,
            item_of_resource("resource") if of_resource else true(),
            _within_span(is_limited),
        )
        .lateral("sums")
    )
    return select(*sums.c).select_from(project.join(sums, true()))


@lru_cache
def _of_customer_over_span(scope: Scope, is_limited: bool) -> AnySelect:
    customer = (
        select(Customer.id)
        .where(Customer.uuid == bindparam("customer"), visible_customers(Customer.id, scope))
        .subquery("customer")
    )
    # The stored total is the sum of the items' prices.
    sums = (
        select(*_sum_and_months(Invoice.total_price.expression))
        .where(Invoice.customer_id == customer.c.id, _within_span(is_limited))
        .lateral("sums")
    )
    return select(*sums.c).select_from(customer.join(sums, true()))
