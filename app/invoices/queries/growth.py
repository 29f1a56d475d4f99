"""How monthly sums grew over a year: major customers against all others.

What staff see comes from the tallies and from the sums of a year, whatever the number of invoices;
what others see, from the invoices of their few customers.
"""

import re
from collections import defaultdict
from collections.abc import Sequence
from decimal import Decimal
from functools import lru_cache
from typing import Any, Protocol

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
from app.database.statements import AnySelect
from app.formats import parse_integer
from app.identity.access import Scope, scope_of, visibility_parameters, visible_customers
from app.identity.caller import Caller
from app.invoices.api.filters import GrowthParameters
from app.invoices.errors import InvalidCustomersCount
from app.invoices.filter_set import accounting_condition, literal_parameter
from app.invoices.models import CustomerYearTotal, Invoice, InvoiceTally
from app.invoices.schemas import Row

DEFAULT_CUSTOMERS = 4
MOST_CUSTOMERS = 20


def customers_count(text: str | None) -> int:
    """Return how many customers are major; raises InvalidCustomersCount."""
    if text is None:
        return DEFAULT_CUSTOMERS
    if not re.fullmatch(r"\s*[+-]?[0-9]+\s*", text):
        raise InvalidCustomersCount("customers_count is not a number")
    count = parse_integer(text.strip())
    if count > MOST_CUSTOMERS:
        raise InvalidCustomersCount(f"customers_count should not be greater than {MOST_CUSTOMERS}")
    if count < 0:
        raise InvalidCustomersCount("customers_count should not be less than 0")
    return count


class Growth:
    """The growth that a caller sees, over one connection; one statement, rarely two."""

    def __init__(
        self, connection: AsyncConnection, caller: Caller, parameters: GrowthParameters
    ) -> None:
        now = clock.now()
        self._connection = connection
        self._scope = scope_of(caller)
        self._count = customers_count(parameters.customers_count)
        self._running = parameters.accounting_is_running
        self._with_tax = parameters.accounting_mode != "accounting"
        self._periods = last_thirteen_periods(now.date())
        first, last = self._periods[0], self._periods[-1]
        self._values: dict[str, Any] = {
            **visibility_parameters(caller, now),
            "now": now,
            "since": one_year_before(now.date()),
            "first_year": first.year,
            "first_month": first.month,
            "last_year": last.year,
            "last_month": last.month,
        }

    async def count(self) -> int:
        """Return how many major customers there are."""
        return len({row.id for row in await self._execute(_majors_alone) if row.id is not None})

    async def row(self) -> Row:
        """Return the growth as a row of its schema."""
        first, count = self._periods[0], len(self._periods)
        names: dict[int, str] = {}
        sums: defaultdict[int | None, list[Decimal]] = defaultdict(lambda: [Decimal(0)] * count)
        for _, customer, name, year, month, amount in await self._execute(_growth):
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
            "periods": [str(period) for period in self._periods],
            "total_periods": totals,
            "other_periods": others,
            "customer_periods": [{"name": names[each], "periods": sums[each]} for each in majors],
        }

    async def _execute(self, statement: "_Statement") -> Sequence[SqlRow[*tuple[Any, ...]]]:
        """Return the rows of a statement: from what is kept, where that is of today."""
        if self._scope is Scope.EVERYTHING:
            kept = statement(self._scope, self._running, self._with_tax, self._count, True)
            found = (await self._connection.execute(kept, self._values)).all()
            if found[0].is_current:
                return found
        made = statement(self._scope, self._running, self._with_tax, self._count, False)
        return (await self._connection.execute(made, self._values)).all()


class _Statement(Protocol):
    def __call__(
        self, scope: Scope, running: bool | None, with_tax: bool, count: int, kept: bool, /
    ) -> Executable: ...


def _counted(scope: Scope, running: bool | None) -> list[ColumnElement[bool]]:
    """Return the conditions of invoices that count."""
    conditions = [visible_customers(Invoice.customer_id, scope)]
    if running is not None:
        started = select(Customer.id).where(accounting_condition(running))
        conditions.append(Invoice.customer_id.in_(started))
    return conditions


def _largest(scope: Scope, running: bool | None) -> AnySelect:
    """Select the customers with the largest sums from the invoices of a year."""
    return (
        select(Invoice.customer_id)
        .where(*_counted(scope, running), Invoice.created >= literal_parameter("since", Date()))
        .group_by(Invoice.customer_id)
        .order_by(func.sum(Invoice.total_cost).desc(), Invoice.customer_id)
    )


def _largest_kept(running: bool | None) -> AnySelect:
    """Select the same from the sums that are kept."""
    kept = CustomerYearTotal
    largest = select(kept.customer_id).where(kept.since == bindparam("since"), kept.invoices > 0)
    if running is not None:
        largest = largest.join(Customer, Customer.id == kept.customer_id).where(
            accounting_condition(running)
        )
    return largest.order_by(kept.total.desc(), kept.customer_id)


def _majors(scope: Scope, running: bool | None, count: int, kept: bool) -> CTE:
    largest = _largest_kept(running) if kept else _largest(scope, running)
    top = largest.limit(literal_column(str(count))).subquery()
    return (
        select(Customer.id, Customer.name).join(top, top.c.customer_id == Customer.id).cte("majors")
    )


def _is_current(kept: bool) -> ColumnElement[bool]:
    """Return whether every sum that is kept is of the year up to today."""
    since = bindparam("since", type_=Date())
    other = or_(CustomerYearTotal.since < since, CustomerYearTotal.since > since)
    return (~exists().where(other)).label("is_current") if kept else true().label("is_current")


@lru_cache
def _majors_alone(
    scope: Scope, running: bool | None, with_tax: bool, count: int, kept: bool, /
) -> AnySelect:
    """Select the major customers, or nulls where there is none."""
    majors = _majors(scope, running, count, kept)
    current = select(_is_current(kept)).subquery()
    return select(current.c.is_current, majors.c.id).select_from(current.outerjoin(majors, true()))


@lru_cache
def _growth(
    scope: Scope, running: bool | None, with_tax: bool, count: int, kept: bool, /
) -> CompoundSelect[*tuple[Any, ...]]:
    """Select sums by month, of each major customer and, without one, of all; some in parts."""
    majors = _majors(scope, running, count, kept)
    current = select(_is_current(kept)).cte("current")
    amount = Invoice.total_cost if with_tax else Invoice.total_price
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
        for part in _of_all(scope, running, with_tax)
    ]  # fmt: skip
    return union_all(of_majors, *of_all)


def _of_all(scope: Scope, running: bool | None, with_tax: bool) -> list[Subquery]:
    """Return the sums by month of all customers that count, in parts to be added."""
    if scope is not Scope.EVERYTHING or running is False:
        return [_of_invoices(_counted(scope, running), with_tax)]
    if running is None:
        return [_of_tallies(with_tax)]
    # Few wait for their accounting to start.
    waiting = _of_invoices(_counted(scope, running=False), with_tax, sign=-1)
    return [_of_tallies(with_tax), waiting]


def _of_tallies(with_tax: bool) -> Subquery:
    amount = InvoiceTally.cost if with_tax else InvoiceTally.price
    return (
        select(InvoiceTally.year, InvoiceTally.month, func.sum(amount).label("amount"))
        .where(*_within(InvoiceTally))
        .group_by(InvoiceTally.year, InvoiceTally.month)
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


def _within(of: type[Invoice] | type[InvoiceTally]) -> tuple[ColumnElement[bool], ...]:
    """Return the condition of the months between the first and the last, both included."""
    # Compared as rows, so that the index of the default order leads to them.
    month = tuple_(of.year, of.month)
    return (
        month >= tuple_(bindparam("first_year"), bindparam("first_month")),
        month <= tuple_(bindparam("last_year"), bindparam("last_month")),
    )
