"""The statements of the month's close."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlalchemy import (
    ColumnElement,
    Date,
    Integer,
    SmallInteger,
    and_,
    cast,
    exists,
    func,
    literal,
    or_,
    select,
    tuple_,
    union_all,
    update,
)
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from app import clock
from app.billing.enums import ImportSource
from app.billing.periods import Period
from app.customers.models import Customer
from app.invoices.models import Invoice, InvoiceItem
from app.invoices.states import END_MONTH, ISSUE, OPENED


def is_unissued_before(period: Period) -> ColumnElement[bool]:
    """Return the condition of an invoice of a month before `period` that was not issued."""
    return and_(Invoice.state.in_(ISSUE.valid), _is_before(period))


def _is_before(period: Period) -> ColumnElement[bool]:
    # As a row, the period can be looked up in the index of states.
    return tuple_(Invoice.year, Invoice.month) < tuple_(period.year, period.month)


def _is_billed_here() -> ColumnElement[bool]:
    """Return the condition of a customer that this service invoices, not only cost exports."""
    return Customer.source.is_distinct_from(ImportSource.FOCUS.value)


def _is_issued_here() -> ColumnElement[bool]:
    """Return the condition of an invoice, joined with its customer, that the close issues."""
    return and_(Invoice.source.is_(None), _is_billed_here())


def _is_due(include_imported: bool) -> ColumnElement[bool]:
    """Return the condition of an overdue invoice, joined with its customer, to be issued."""
    if not include_imported:
        return _is_issued_here()
    # An invoice without items, which an earlier version opened, waits for its charges.
    return or_(_is_issued_here(), exists().where(InvoiceItem.invoice_id == Invoice.id))


async def count_overdue(
    connection: AsyncConnection, before: Period, *, include_imported: bool
) -> int:
    """Return the number of invoices of months before `before` to issue."""
    statement = (
        select(func.count())
        .select_from(Invoice)
        .join(Customer, Customer.id == Invoice.customer_id)
        .where(is_unissued_before(before), _is_due(include_imported))
    )
    return (await connection.execute(statement)).scalar_one()


class OverdueInvoice(NamedTuple):
    """An invoice to issue."""

    id: int
    year: int
    month: int
    number: int
    lines: int
    """The number of its items."""


async def find_overdue_batch(
    connection: AsyncConnection,
    before: Period,
    *,
    after: tuple[int, int, int],
    limit: int,
    include_imported: bool,
) -> Sequence[OverdueInvoice]:
    """Return the next invoices to issue, by year, month and number.

    They come after the year, month and number `after`, and are of months before `before`.
    """
    # The index of states has the invoices of each state in this order, so that no more are read.
    order = (Invoice.year, Invoice.month, Invoice.number)
    unissued = union_all(
        *(
            select(Invoice.id, *order)
            .join(Customer, Customer.id == Invoice.customer_id)
            .where(
                Invoice.state == state,
                _is_before(before),
                tuple_(*order) > tuple_(*after),
                _is_due(include_imported),
            )
            .order_by(*order)
            .limit(limit)
            .subquery()
            .select()
            for state in ISSUE.valid
        )
    ).subquery()
    found = select(unissued).order_by(*(unissued.c[each.key] for each in order)).limit(limit)
    batch = found.subquery()
    lines = select(func.count()).where(InvoiceItem.invoice_id == batch.c.id).scalar_subquery()
    statement = select(batch, lines.label("lines")).order_by(*(batch.c[each.key] for each in order))
    return [
        OverdueInvoice(row.id, row.year, row.month, row.number, row.lines)
        for row in await connection.execute(statement)
    ]


class InvoiceToFinalize(NamedTuple):
    """An invoice of a past month, which is to wait for late usage."""

    id: int
    number: int


async def find_invoices_to_finalize(
    connection: AsyncConnection, running: Period, *, after: int, limit: int
) -> Sequence[InvoiceToFinalize]:
    """Return the next invoices, by id, of months before `running` that have not ended."""
    statement = (
        select(Invoice.id, Invoice.number)
        .join(Customer, Customer.id == Invoice.customer_id)
        .where(
            Invoice.state.in_(END_MONTH.valid),
            _is_before(running),
            _is_issued_here(),
            Invoice.id > after,
        )
        .order_by(Invoice.id)
        .limit(limit)
    )
    return [InvoiceToFinalize(*row) for row in await connection.execute(statement)]


async def end_month(connection: AsyncConnection, invoice_ids: Sequence[int]) -> int:
    """Let invoices wait for late usage, unless they were issued meanwhile; return how many."""
    # Locked in one order, since two closes may run at once.
    locked = (
        select(Invoice.id)
        .where(Invoice.id.in_(invoice_ids), Invoice.state.in_(END_MONTH.valid))
        .order_by(Invoice.id)
        .with_for_update()
        .cte("locked")
    )
    statement = (
        update(Invoice).where(Invoice.id.in_(select(locked.c.id))).values(state=END_MONTH.to)
    )
    return (await connection.execute(statement)).rowcount


async def count_unissued(
    connection: AsyncConnection, running: Period, overdue_before: Period, limit: int
) -> tuple[int, Period | None]:
    """Return how many invoices of months before `overdue_before` are to be issued, and more.

    The number is at most `limit`. The second value is the first month before `running` with an
    invoice that was not issued. Imported invoices, which the close does not issue, do not count.
    """
    # The index of states has the months of each state in order, so that few rows are read.
    unissued = union_all(
        *(
            select(Invoice.year, Invoice.month)
            .join(Customer, Customer.id == Invoice.customer_id)
            .where(Invoice.state == state, _is_before(running), _is_issued_here())
            .order_by(Invoice.year, Invoice.month)
            .limit(limit)
            .subquery()
            .select()
            for state in ISSUE.valid
        )
    ).subquery()
    month = cast(unissued.c.year, Integer) * 100 + cast(unissued.c.month, Integer)
    is_overdue = month < overdue_before.year * 100 + overdue_before.month
    number = func.least(func.count().filter(is_overdue), limit)
    statement = select(number, func.min(month))
    count, first = (await connection.execute(statement)).one()
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
        "state": literal(OPENED.value),
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
