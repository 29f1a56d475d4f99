"""How monthly sums grew over a year: major customers against all others."""

import re
from collections import defaultdict
from collections.abc import Sequence
from decimal import Decimal

from sqlalchemy import ColumnElement, case, collate, func, select, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from app import clock
from app.billing.periods import Period, last_thirteen, year_before
from app.customers.tables import Customer
from app.http.errors import BrokenRule
from app.http.parameters import whole_number
from app.identity.access import visible_customers
from app.identity.caller import Caller
from app.invoices.filters import GrowthParameters, accounting_condition
from app.invoices.representation import CODE_POINTS
from app.invoices.schemas import Row
from app.invoices.tables import Invoice

DEFAULT_CUSTOMERS = 4
MOST_CUSTOMERS = 20


def customers_count(text: str | None) -> int:
    """Return how many customers are major; raises BrokenRule for what is no such number."""
    if text is None:
        return DEFAULT_CUSTOMERS
    if not re.fullmatch(r"\s*[+-]?[0-9]+\s*", text):
        raise BrokenRule("customers_count is not a number")
    count = whole_number(text.strip())
    if count > MOST_CUSTOMERS:
        raise BrokenRule(f"customers_count should not be greater than {MOST_CUSTOMERS}")
    if count < 0:
        raise BrokenRule("customers_count should not be less than 0")
    return count


class Growth:
    """The growth that a caller sees, over one connection; two statements at most."""

    def __init__(
        self, connection: AsyncConnection, caller: Caller, parameters: GrowthParameters
    ) -> None:
        now = clock.now()
        self._connection = connection
        self._today = now.date()
        self._count = customers_count(parameters.customers_count)
        self._with_tax = parameters.accounting_mode != "accounting"
        self._counted: list[ColumnElement[bool]] = [
            visible_customers(Invoice.customer_id, caller, now)
        ]
        if parameters.accounting_is_running is not None:
            started = accounting_condition(parameters.accounting_is_running, now)
            self._counted.append(Invoice.customer_id.in_(select(Customer.id).where(started)))

    async def major_customers(self) -> dict[int, str]:
        """Return id and name of the customers with the largest sums of a year, by name."""
        largest = (
            select(Invoice.customer_id)
            .where(*self._counted, Invoice.created >= year_before(self._today))
            .group_by(Invoice.customer_id)
            .order_by(func.sum(Invoice.total_cost).desc(), Invoice.customer_id)
            .limit(self._count)
        )
        statement = (
            select(Customer.id, Customer.name)
            .where(Customer.id.in_(largest))
            .order_by(collate(Customer.name, CODE_POINTS), Customer.id)
        )
        found = await self._connection.execute(statement)
        return {row.id: row.name for row in found}

    async def row(self) -> Row:
        """Return the growth as a row of its schema."""
        majors = await self.major_customers()
        periods = last_thirteen(self._today)
        sums = await self._sums(periods, list(majors))

        def over_periods(customer: int | None) -> list[Decimal]:
            return [sums[customer, period] for period in periods]

        others = over_periods(None)
        customers = [(name, over_periods(customer)) for customer, name in majors.items()]
        return {
            "periods": [str(period) for period in periods],
            "total_periods": [
                sum(month) for month in zip(others, *(c[1] for c in customers), strict=True)
            ],
            "other_periods": others,
            "customer_periods": [{"name": name, "periods": months} for name, months in customers],
        }

    async def _sums(
        self, periods: Sequence[Period], majors: Sequence[int]
    ) -> defaultdict[tuple[int | None, Period], Decimal]:
        """Return the sums by major customer, or None for all others, and month."""
        amount = Invoice.total_cost if self._with_tax else Invoice.total_price
        major = case((Invoice.customer_id.in_(majors), Invoice.customer_id)).label("major")
        first, last = periods[0], periods[-1]
        # Compared as rows, so that the index of the default order leads to them.
        month = tuple_(Invoice.year, Invoice.month)
        statement = (
            select(major, Invoice.year, Invoice.month, func.sum(amount).label("amount"))
            .where(
                *self._counted,
                month >= tuple_(first.year, first.month),
                month <= tuple_(last.year, last.month),
            )
            .group_by(major, Invoice.year, Invoice.month)
        )
        found = await self._connection.execute(statement)
        sums: defaultdict[tuple[int | None, Period], Decimal] = defaultdict(Decimal)
        for row in found:
            sums[row.major, Period(row.year, row.month)] = row.amount
        return sums
