"""Growth: the monthly sums of a year, of major customers and of all others.

For staff they come from the summaries and the sums by customer, whatever the number of invoices;
for other users from the invoices of their few customers.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from functools import lru_cache
from typing import Any

from sqlalchemy import (
    CTE,
    BigInteger,
    ColumnElement,
    CompoundSelect,
    Date,
    Executable,
    Subquery,
    Text,
    and_,
    bindparam,
    cast,
    exists,
    func,
    literal_column,
    null,
    or_,
    select,
    true,
    tuple_,
    union_all,
)
from sqlalchemy import Row as SqlRow
from sqlalchemy.ext.asyncio import AsyncConnection

from app import clock
from app.billing.periods import last_thirteen_periods, one_year_before
from app.customers.models import Customer
from app.database.filter_set import literal_parameter
from app.database.statements import AnySelect
from app.identity.access import Scope, visibility_of, visible_customers
from app.identity.caller import Caller
from app.invoices.filter_set import accounting_condition
from app.invoices.models import CustomerYearTotal, Invoice, InvoiceSummary
from app.invoices.schemas import Row


@dataclass(frozen=True, slots=True)
class GrowthQuery:
    """Which sums to compare."""

    major_customers: int
    """How many of the customers with the largest totals are shown by themselves."""
    accounting_is_running: bool | None
    """Whether only customers count whose accounting has started, or only the others; None: all."""
    with_tax: bool


async def count_major_customers(
    connection: AsyncConnection, caller: Caller, query: GrowthQuery
) -> int:
    """Return how many major customers there are, at most as many as the query asks for."""
    rows = await _execute(connection, _majors_alone, caller, query, clock.now())
    return len({row.id for row in rows if row.id is not None})


async def read_growth(connection: AsyncConnection, caller: Caller, query: GrowthQuery) -> Row:
    """Return the growth as a row of its schema; in one statement, rarely two."""
    now = clock.now()
    periods = last_thirteen_periods(now.date())
    first, count = periods[0], len(periods)
    names: dict[int, str] = {}
    sums: defaultdict[int | None, list[Decimal]] = defaultdict(lambda: [Decimal(0)] * count)
    rows = await _execute(connection, _growth, caller, query, now)
    for _, customer, name, year, month, amount in rows:
        if customer is not None:
            names[customer] = name
        if amount is not None:
            sums[customer][(year - first.year) * 12 + month - first.month] += amount
    majors = sorted(names, key=lambda customer: (names[customer], customer))
    totals = sums[None]
    others = list(totals)
    for major in majors:
        others = [other - part for other, part in zip(others, sums[major], strict=True)]
    return {
        "periods": [str(period) for period in periods],
        "total_periods": totals,
        "other_periods": others,
        "customer_periods": [{"name": names[each], "periods": sums[each]} for each in majors],
    }


async def _execute(
    connection: AsyncConnection,
    build: "_Build",
    caller: Caller,
    query: GrowthQuery,
    now: datetime,
) -> Sequence[SqlRow[*tuple[Any, ...]]]:
    """Return the rows of a statement, from the sums by customer if these are of today."""
    scope, parameters = visibility_of(caller, now)
    periods = last_thirteen_periods(now.date())
    values = {
        **parameters,
        "now": now,
        "since": one_year_before(now.date()),
        "first_year": periods[0].year,
        "first_month": periods[0].month,
        "last_year": periods[-1].year,
        "last_month": periods[-1].month,
    }
    if scope is Scope.EVERYTHING:
        rows = (await connection.execute(build(scope, query, True), values)).all()
        if rows[0].is_current:
            return rows
    return (await connection.execute(build(scope, query, False), values)).all()


_Build = Callable[[Scope, GrowthQuery, bool], Executable]
"""Builds a statement; the flag says whether it reads the sums by customer of `CustomerYearTotal`
instead of the invoices of a year."""


def _conditions(scope: Scope, running: bool | None) -> list[ColumnElement[bool]]:
    """Return the conditions of the invoices that count."""
    conditions = [visible_customers(Invoice.customer_id, scope)]
    if running is not None:
        started = select(Customer.id).where(accounting_condition(running))
        conditions.append(Invoice.customer_id.in_(started))
    return conditions


def _largest_by_invoices(scope: Scope, running: bool | None) -> AnySelect:
    """Select the customers by the sums of their invoices of a year, the largest first."""
    return (
        select(Invoice.customer_id)
        .where(*_conditions(scope, running), Invoice.created >= literal_parameter("since", Date()))
        .group_by(Invoice.customer_id)
        .order_by(func.sum(Invoice.total_cost).desc(), Invoice.customer_id)
    )


def _largest_by_totals(running: bool | None) -> AnySelect:
    """Select the same from the sums by customer."""
    totals = CustomerYearTotal
    largest = select(totals.customer_id).where(
        totals.since == bindparam("since"), totals.invoices > 0
    )
    if running is not None:
        largest = largest.join(Customer, Customer.id == totals.customer_id).where(
            accounting_condition(running)
        )
    return largest.order_by(totals.total.desc(), totals.customer_id)


def _majors(scope: Scope, query: GrowthQuery, from_totals: bool) -> CTE:
    running = query.accounting_is_running
    largest = _largest_by_totals(running) if from_totals else _largest_by_invoices(scope, running)
    top = largest.limit(literal_column(str(query.major_customers))).subquery()
    return (
        select(Customer.id, Customer.name).join(top, top.c.customer_id == Customer.id).cte("majors")
    )


def _is_current(from_totals: bool) -> ColumnElement[bool]:
    """Return whether every sum by customer is of the year up to today."""
    if not from_totals:
        return true().label("is_current")
    since = bindparam("since", type_=Date())
    other = or_(CustomerYearTotal.since < since, CustomerYearTotal.since > since)
    return (~exists().where(other)).label("is_current")


@lru_cache
def _majors_alone(scope: Scope, query: GrowthQuery, from_totals: bool) -> AnySelect:
    """Select the major customers, or a row of nulls if there is none."""
    majors = _majors(scope, query, from_totals)
    current = select(_is_current(from_totals)).subquery()
    return select(current.c.is_current, majors.c.id).select_from(current.outerjoin(majors, true()))


@lru_cache
def _growth(
    scope: Scope, query: GrowthQuery, from_totals: bool
) -> CompoundSelect[*tuple[Any, ...]]:
    """Select sums by month: of each major customer, and without a customer those of all.

    The sums of all may come in several rows a month.
    """
    majors = _majors(scope, query, from_totals)
    current = select(_is_current(from_totals)).cte("current")
    amount = Invoice.total_cost if query.with_tax else Invoice.total_price
    of_major = and_(Invoice.customer_id == majors.c.id, *_within(Invoice))
    of_majors = select(
        current.c.is_current, majors.c.id, majors.c.name, Invoice.year, Invoice.month,
        amount.label("amount"),
    ).select_from(
        current.outerjoin(majors.outerjoin(Invoice, of_major), true())
    )  # fmt: skip
    of_all = [
        select(
            current.c.is_current, cast(null(), BigInteger), cast(null(), Text), part.c.year,
            part.c.month, part.c.amount,
        ).join(current, true())
        for part in _sums_of_all(scope, query)
    ]  # fmt: skip
    return union_all(of_majors, *of_all)


def _sums_of_all(scope: Scope, query: GrowthQuery) -> list[Subquery]:
    """Return selects whose sums by month add up to those of all customers that count."""
    running, with_tax = query.accounting_is_running, query.with_tax
    if scope is not Scope.EVERYTHING or running is False:
        return [_of_invoices(_conditions(scope, running), with_tax)]
    if running is None:
        return [_of_summaries(with_tax)]
    # Few customers wait for their accounting to start.
    waiting = _of_invoices(_conditions(scope, running=False), with_tax, sign=-1)
    return [_of_summaries(with_tax), waiting]


def _of_summaries(with_tax: bool) -> Subquery:
    amount = InvoiceSummary.cost if with_tax else InvoiceSummary.price
    return (
        select(InvoiceSummary.year, InvoiceSummary.month, func.sum(amount).label("amount"))
        .where(*_within(InvoiceSummary))
        .group_by(InvoiceSummary.year, InvoiceSummary.month)
        .subquery()
    )


def _of_invoices(
    conditions: Sequence[ColumnElement[bool]], with_tax: bool, sign: int = 1
) -> Subquery:
    amount = Invoice.total_cost if with_tax else Invoice.total_price
    return (
        select(Invoice.year, Invoice.month, (sign * func.sum(amount)).label("amount"))
        .where(*conditions, *_within(Invoice))
        .group_by(Invoice.year, Invoice.month)
        .subquery()
    )


def _within(table: type[Invoice] | type[InvoiceSummary]) -> tuple[ColumnElement[bool], ...]:
    """Return the condition of the months from the first to the last period, both included."""
    # A row comparison, for which the index of the default order can be used.
    month = tuple_(table.year, table.month)
    return (
        month >= tuple_(bindparam("first_year"), bindparam("first_month")),
        month <= tuple_(bindparam("last_year"), bindparam("last_month")),
    )
