"""Keeping short what triggers keep: tallies are merged, the sums of a year are brought forward.

Reads are right at any time, whether these jobs run or not; without them they get slower.
"""

from collections.abc import Sequence
from datetime import date, timedelta
from typing import Any, Final

from sqlalchemy import (
    Select,
    Update,
    and_,
    delete,
    exists,
    func,
    insert,
    or_,
    select,
    tuple_,
    union_all,
    update,
)

from app import clock
from app.billing.periods import one_year_before
from app.database.engine import Database
from app.invoices.models import CustomerYearTotal, Invoice, InvoiceTally
from app.logging import get_logger
from app.outbox.outcome import JobSummary, RetryAfter

_BATCH: Final = 1000
"""Customers whose rows are locked at a time."""
_AGAIN: Final = timedelta(minutes=1)

_logger = get_logger(__name__)

_KIND: Final = (InvoiceTally.year, InvoiceTally.month, InvoiceTally.state)
_SUMS: Final = (InvoiceTally.invoices, InvoiceTally.price, InvoiceTally.cost)


async def merge_tallies(database: Database) -> JobSummary:
    """Make one row of all tallies of a month and state; what comes to nothing goes."""
    several = select(*_KIND).group_by(*_KIND).having(func.count() > 1)
    merged = (
        delete(InvoiceTally)
        .where(tuple_(*_KIND).in_(several))
        .returning(*_KIND, *_SUMS)
        .cte("merged")
    )
    sums = [func.sum(merged.c[column.key]) for column in _SUMS]
    kinds = [merged.c[column.key] for column in _KIND]
    added = select(*kinds, *sums).group_by(*kinds).having(or_(*(each != 0 for each in sums)))
    columns = [column.key for column in (*_KIND, *_SUMS)]
    summary = JobSummary()
    async with database.transaction() as connection:
        # Two at once would lock the same rows in different orders.
        await connection.execute(_in_turn("merge_tallies"))
        before = (await connection.execute(_rows)).scalar_one()
        await connection.execute(insert(InvoiceTally).from_select(columns, added))
        summary.counts["rows fewer"] = before - (await connection.execute(_rows)).scalar_one()
    return summary


_rows: Final = select(func.count()).select_from(InvoiceTally)


async def mend_tallies(database: Database) -> JobSummary:
    """Compare the tallies with the invoices; report and mend those that drifted.

    One statement sees both as of one moment, and only adds: a change under way is no drift. Two
    runs at once take turns, or both would add what was missing.
    """
    true = (Invoice.year, Invoice.month, Invoice.state)
    sums = (func.count(), func.sum(Invoice.total_price), func.sum(Invoice.total_cost))
    both = union_all(
        select(*true, *sums).group_by(*true),
        select(*_KIND, *(-column for column in _SUMS)),
    ).subquery()
    kind = [both.c[column.key] for column in _KIND]
    differences = [func.sum(column) for column in both.c[len(kind) :]]
    drift = (
        select(*kind, *differences)
        .group_by(*kind)
        .having(or_(*(difference != 0 for difference in differences)))
    )
    columns = [column.key for column in (*_KIND, *_SUMS)]
    mended = insert(InvoiceTally).from_select(columns, drift).returning(*_KIND, *_SUMS)
    summary = JobSummary()
    async with database.transaction() as connection:
        await connection.execute(_in_turn("mend_tallies"))
        for row in (await connection.execute(mended)).all():
            words = f"{row.invoices} invoices, {row.price:f} without and {row.cost:f} with tax"
            _logger.warning("tallies drifted", month=f"{row.year}-{row.month}", state=row.state)
            summary.counts["tallies mended"] += 1
            summary.notes.append(f"{row.state} of {row.year}-{row.month} lacked {words}")
    return summary


def _in_turn(job: str) -> Select[Any]:
    return select(func.pg_advisory_xact_lock(func.hashtext(job)))


async def bring_year_forward(database: Database) -> JobSummary:
    """Make the sums of customers those of the year up to today, from their invoices.

    Raises Later where some are being changed.
    """
    now = clock.now()
    since = one_year_before(now.date())
    behind = or_(CustomerYearTotal.since < since, CustomerYearTotal.since > since)
    batch = (
        select(CustomerYearTotal.customer_id)
        .where(behind)
        .limit(_BATCH)
        .with_for_update(skip_locked=True)
    )
    summary = JobSummary()
    customers: Sequence[int] = ()
    while not summary.counts or len(customers) == _BATCH:
        async with database.transaction() as connection:
            # Whoever changes an invoice changes this row in the same transaction. Once it is
            # locked, the next statement sees the invoices of all who came before; who comes after
            # adds to the result.
            customers = (await connection.execute(batch)).scalars().all()
            await connection.execute(_of_year(since, customers))
        summary.counts["customers"] += len(customers)
    async with database.reading() as connection:
        if (await connection.execute(select(exists().where(behind)))).scalar_one():
            raise RetryAfter(_AGAIN)
    return summary


def _of_year(since: date, customers: Sequence[int]) -> Update:
    year = and_(Invoice.customer_id == CustomerYearTotal.customer_id, Invoice.created >= since)
    sums = (
        select(
            CustomerYearTotal.customer_id,
            func.count(Invoice.id).label("invoices"),
            func.coalesce(func.sum(Invoice.total_cost), 0).label("total"),
        )
        .outerjoin(Invoice, year)
        .where(CustomerYearTotal.customer_id.in_(customers))
        .group_by(CustomerYearTotal.customer_id)
        .subquery()
    )
    return (
        update(CustomerYearTotal)
        .where(CustomerYearTotal.customer_id == sums.c.customer_id)
        .values(since=since, invoices=sums.c.invoices, total=sums.c.total)
    )
