"""Filters and orders of invoices as SQL.

A statement is built once for each combination of filter names and order; the values of the filters
are its parameters.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

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

from app.customers.models import Customer
from app.invoices.models import Invoice, InvoiceSummary

_NEWEST_FIRST = ("-year", "-month", "-number")


@dataclass(frozen=True, slots=True)
class FilterSet:
    """The names of conditions, which make the statement, and the values of its parameters."""

    names: tuple[str, ...]
    values: dict[str, Any]


def literal_parameter(name: str, type_: TypeEngine[Any]) -> BindParameter[Any]:
    """Return a parameter whose value is written into the statement at each execution.

    PostgreSQL must know the bounds of a range to choose well between an index of that range and an
    index of the order.
    """
    return bindparam(name, type_=type_, literal_execute=True)


def accounting_condition(running: bool) -> ColumnElement[bool]:
    """Return the condition that a customer's accounting has started, or that it has not.

    A statement with it has the parameter `now`.
    """
    start = Customer.accounting_start_date
    now = literal_parameter("now", DateTime(timezone=True))
    return start <= now if running else start > now


def _customer_with(parameter: str) -> ScalarSelect[int]:
    return select(Customer.id).where(Customer.uuid == bindparam(parameter)).scalar_subquery()


def _accounting(running: bool) -> ColumnElement[bool]:
    return Invoice.customer_id.in_(select(Customer.id).where(accounting_condition(running)))


# The exact total decides. The rounded total has an index, which leads to the candidates. The
# parameter is a plain numeric: the column's type would round it, or be too narrow for it. The
# factor avoids a division, which would round totals of more than twelve digits.
_TOTAL = Invoice.total_price * (100 + Invoice.tax_percent) * literal_column("0.01", Numeric())
_NUMBER = Numeric()

NOTHING: Final = "nothing"
RUNNING: Final = "accounting_is_running"
WAITING: Final = "accounting_is_waiting"

_CONDITIONS: dict[str, ColumnElement[bool]] = {
    NOTHING: false(),
    "created": Invoice.created == bindparam("created"),
    "start_date": Invoice.created > literal_parameter("start_date", Date()),
    "end_date": Invoice.created < literal_parameter("end_date", Date()),
    "year": Invoice.year == bindparam("year"),
    "month": Invoice.month == bindparam("month"),
    "state": Invoice.state == bindparam("state"),
    "states": Invoice.state == any_(bindparam("states", type_=ARRAY(Text))),
    "customer": Invoice.customer_id == _customer_with("customer"),
    "customer_uuid": Invoice.customer_id == _customer_with("customer_uuid"),
    RUNNING: _accounting(True),
    WAITING: _accounting(False),
    "min_sum": and_(
        Invoice.total_cost >= literal_parameter("least_cost", _NUMBER),
        literal_parameter("min_sum", _NUMBER) <= _TOTAL,
    ),
    "max_sum": and_(
        Invoice.total_cost <= literal_parameter("most_cost", _NUMBER),
        literal_parameter("max_sum", _NUMBER) >= _TOTAL,
    ),
}
"""The conditions of invoices, by the names in a `FilterSet`."""

SUMMARY_CONDITIONS: dict[str, ColumnElement[bool]] = {
    NOTHING: false(),
    "year": InvoiceSummary.year == bindparam("year"),
    "month": InvoiceSummary.month == bindparam("month"),
    "state": InvoiceSummary.state == bindparam("state"),
    "states": InvoiceSummary.state == any_(bindparam("states", type_=ARRAY(Text))),
}
"""The conditions of summaries, for the filters by which summaries are grouped."""


def conditions(names: Sequence[str]) -> list[ColumnElement[bool]]:
    """Return the conditions of a filter set's names; a statement with them has its parameters."""
    return [_CONDITIONS[name] for name in names]


def ordering(
    order: Sequence[str], columns: Any = Invoice, *, backwards: bool = False
) -> list[UnaryExpression[Any]]:
    """Return a total order: the requested one, then newest first.

    `columns` has the columns of an invoice by name; `backwards` reverses the order.
    """
    return [
        column.desc() if name.startswith("-") is not backwards else column.asc()
        for name in [*order, *_NEWEST_FIRST]
        for column in [getattr(columns, name.removeprefix("-"))]
    ]
