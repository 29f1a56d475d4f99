"""The filters of invoices as SQL."""

from typing import Final

from sqlalchemy import (
    ColumnElement,
    Date,
    DateTime,
    Numeric,
    ScalarSelect,
    and_,
    bindparam,
    literal_column,
    select,
)

from app.customers.models import Customer
from app.database.filter_set import equals, is_any_of, literal_parameter
from app.invoices.models import Invoice, InvoiceSummary


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

RUNNING: Final = "accounting_is_running"
WAITING: Final = "accounting_is_waiting"

CONDITIONS: Final[dict[str, ColumnElement[bool]]] = {
    "created": equals(Invoice.created, "created"),
    "start_date": Invoice.created > literal_parameter("start_date", Date()),
    "end_date": Invoice.created < literal_parameter("end_date", Date()),
    "year": equals(Invoice.year, "year"),
    "month": equals(Invoice.month, "month"),
    "state": equals(Invoice.state, "state"),
    "states": is_any_of(Invoice.state, "states"),
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

SUMMARY_CONDITIONS: Final[dict[str, ColumnElement[bool]]] = {
    "year": equals(InvoiceSummary.year, "year"),
    "month": equals(InvoiceSummary.month, "month"),
    "state": equals(InvoiceSummary.state, "state"),
    "states": is_any_of(InvoiceSummary.state, "states"),
}
"""The conditions of summaries, for the filters by which summaries are grouped."""
