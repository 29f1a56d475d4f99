"""The exact sums of the invoices of a month."""

from functools import lru_cache
from typing import Any, Final

from sqlalchemy import ColumnElement, Numeric, bindparam, func, literal_column, select
from sqlalchemy.ext.asyncio import AsyncConnection

from app.customers.models import Customer
from app.database.filter_set import FilterSet, contains_text, equals
from app.database.lists import Row
from app.database.statements import AnySelect
from app.identity.access import Scope, visibility_of, visible_customers
from app.identity.caller import Caller
from app.invoices.filter_set import accounting_condition
from app.invoices.models import Invoice

_CONDITIONS: Final[dict[str, ColumnElement[bool]]] = {
    "accounting_is_running": accounting_condition(True),
    "accounting_is_waiting": accounting_condition(False),
    "customer_uuid": equals(Customer.uuid, "customer_uuid"),
    "name": contains_text([Customer.name], "name"),
}
# A factor instead of a division, which would round.
_WITH_TAX: Final = (
    Invoice.total_price * (100 + Invoice.tax_percent) * literal_column("0.01", Numeric())
)


async def read_total_cost(connection: AsyncConnection, caller: Caller, filters: FilterSet) -> Row:
    """Return `total`, with tax, and `price`, without, of the month's invoices in any state.

    They are of the customers that the caller may see. The values of the filters include `year` and
    `month`. Summaries have no answer: they add up totals that were rounded.
    """
    scope, values = visibility_of(caller)
    statement = _statement(scope, filters.names)
    return (await connection.execute(statement, filters.values | values)).mappings().one()


@lru_cache
def _statement(scope: Scope, names: tuple[str, ...]) -> AnySelect:
    sums: list[Any] = [
        func.coalesce(func.sum(_WITH_TAX), 0).label("total"),
        func.coalesce(func.sum(Invoice.total_price), 0).label("price"),
    ]
    statement = select(*sums).where(
        Invoice.year == bindparam("year"),
        Invoice.month == bindparam("month"),
        visible_customers(Invoice.customer_id, scope),
    )
    if names:
        statement = statement.join(Customer, Customer.id == Invoice.customer_id)
    return statement.where(*(_CONDITIONS[name] for name in names))
