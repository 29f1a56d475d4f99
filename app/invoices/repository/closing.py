"""The statements of the month's close."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Date,
    Integer,
    Row,
    SmallInteger,
    and_,
    cast,
    exists,
    func,
    literal,
    or_,
    select,
    tuple_,
)
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from app import clock
from app.billing.enums import ImportSource
from app.billing.periods import Period
from app.customers.models import Customer
from app.invoices.models import Invoice, InvoiceItem
from app.invoices.states import ISSUE, OPEN_FOR_ITEMS


def is_overdue(running: Period) -> ColumnElement[bool]:
    """Return the condition of an invoice that is pending though its month is before `running`."""
    # As a row, the period can be looked up in the index of states.
    past = tuple_(Invoice.year, Invoice.month) < tuple_(running.year, running.month)
    return and_(Invoice.state.in_(ISSUE.valid), past)


def _is_billed_here() -> ColumnElement[bool]:
    """Return the condition of a customer that this service invoices, not only cost exports."""
    return Customer.source.is_distinct_from(ImportSource.FOCUS.value)


def _is_issued_here() -> ColumnElement[bool]:
    """Return the condition of an invoice, joined with its customer, that the close issues."""
    return and_(Invoice.source.is_(None), _is_billed_here())


async def find_overdue_batch(
    connection: AsyncConnection,
    running: Period,
    *,
    after: int,
    limit: int,
    include_imported: bool,
) -> Sequence[Row[int, int]]:
    """Return `id` and `number` of the next overdue invoices, by id, after the id `after`."""
    due = _is_issued_here()
    if include_imported:
        # An invoice without items, which an earlier version opened, waits for its charges.
        due = or_(due, exists().where(InvoiceItem.invoice_id == Invoice.id))
    statement = (
        select(Invoice.id, Invoice.number)
        .join(Customer, Customer.id == Invoice.customer_id)
        .where(is_overdue(running), due, Invoice.id > after)
        .order_by(Invoice.id)
        .limit(limit)
    )
    return (await connection.execute(statement)).all()


async def count_overdue(
    connection: AsyncConnection, running: Period, limit: int
) -> tuple[int, Period | None]:
    """Return the number of overdue invoices, at most `limit`, and the first of their months.

    Imported invoices, which the close does not issue, do not count.
    """
    overdue = (
        select(Invoice.year, Invoice.month)
        .join(Customer, Customer.id == Invoice.customer_id)
        .where(is_overdue(running), _is_issued_here())
        .order_by(Invoice.year, Invoice.month)
        .limit(limit)
        .subquery()
    )
    oldest = func.min(cast(overdue.c.year, Integer) * 100 + overdue.c.month)
    count, first = (await connection.execute(select(func.count(), oldest))).one()
    return count, None if first is None else Period(*divmod(first, 100))


async def find_customers_to_invoice(
    connection: AsyncConnection, running: Period, *, after: int, limit: int
) -> Sequence[int]:
    """Return the next customers, by id, whose invoice of the running month is to be opened."""
    statement = (
        select(Customer.id)
        .where(_is_to_be_invoiced(running), Customer.id > after)
        .order_by(Customer.id)
        .limit(limit)
    )
    return (await connection.execute(statement)).scalars().all()


async def open_invoices(
    connection: AsyncConnection, running: Period, customers: Sequence[int]
) -> int:
    """Open the running month's invoice of those customers that need one; return how many."""
    columns: dict[str, Any] = {
        "uuid": func.gen_random_uuid(),
        "customer_id": Customer.id,
        "year": literal(running.year, SmallInteger),
        "month": literal(running.month, SmallInteger),
        "state": literal(OPEN_FOR_ITEMS.value),
        "tax_percent": Customer.default_tax_percent,
        "created": literal(clock.today(), Date),
    }
    rows = (
        select(*columns.values())
        .where(Customer.id.in_(customers), _is_to_be_invoiced(running))
        .order_by(Customer.id)
    )
    statement = (
        insert(Invoice)
        .from_select(list(columns), rows)
        .on_conflict_do_nothing(index_elements=[Invoice.customer_id, Invoice.year, Invoice.month])
    )
    return (await connection.execute(statement)).rowcount


def _is_to_be_invoiced(running: Period) -> ColumnElement[bool]:
    # Customers with an invoice are excluded here, too: each conflict would use up a number.
    has_one = exists().where(
        Invoice.customer_id == Customer.id,
        Invoice.year == running.year,
        Invoice.month == running.month,
    )
    return and_(
        _is_billed_here(),
        ~Customer.archived,
        Customer.accounting_start_date <= clock.now(),
        ~has_one,
    )
