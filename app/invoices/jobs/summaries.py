"""Maintain the summaries that triggers keep: merge their rows, advance the totals of a year.

Reads are correct whether these jobs run or not; without them they get slower.
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
from sqlalchemy.ext.asyncio import AsyncConnection

from app import clock
from app.billing.periods import one_year_before
from app.database.batches import run_in_batches
from app.database.engine import Database
from app.invoices.models import CustomerYearTotal, Invoice, InvoiceSummary
from app.logging import get_logger
from app.outbox.outcome import JobSummary, RetryAfter
from app.progress import UNWATCHED, Progress

_BATCH: Final = 1000
"""The number of customers whose rows are locked at a time."""
_RETRY_AFTER: Final = timedelta(minutes=1)

_logger = get_logger(__name__)

_KIND: Final = (InvoiceSummary.year, InvoiceSummary.month, InvoiceSummary.state)
_SUMS: Final = (InvoiceSummary.invoices, InvoiceSummary.price, InvoiceSummary.cost)


async def merge_summaries(database: Database) -> JobSummary:
    """Merge the summaries of each month and state into one row, or none if all sums are zero."""
    several = select(*_KIND).group_by(*_KIND).having(func.count() > 1)
    merged = (
        delete(InvoiceSummary)
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
        # Two runs at once would lock the same rows in different orders.
        await connection.execute(_lock_job("merge_tallies"))
        before = (await connection.execute(_rows)).scalar_one()
        await connection.execute(insert(InvoiceSummary).from_select(columns, added))
        summary.counts["rows fewer"] = before - (await connection.execute(_rows)).scalar_one()
    return summary


_rows: Final = select(func.count()).select_from(InvoiceSummary)


async def repair_summaries(database: Database) -> JobSummary:
    """Compare the summaries with the invoices; report and repair those that drifted.

    One statement sees both at one moment and only adds rows: a change in progress is no drift. Two
    runs at once take turns, or both would add what is missing.
    """
    correct = (Invoice.year, Invoice.month, Invoice.state)
    sums = (func.count(), func.sum(Invoice.total_price), func.sum(Invoice.total_cost))
    both = union_all(
        select(*correct, *sums).group_by(*correct),
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
    repair = insert(InvoiceSummary).from_select(columns, drift).returning(*_KIND, *_SUMS)
    summary = JobSummary()
    async with database.transaction() as connection:
        await connection.execute(_lock_job("mend_tallies"))
        for row in (await connection.execute(repair)).all():
            missing = f"{row.invoices} invoices, {row.price:f} without and {row.cost:f} with tax"
            _logger.warning("summaries drifted", month=f"{row.year}-{row.month}", state=row.state)
            summary.counts["summaries repaired"] += 1
            summary.notes.append(f"{row.state} of {row.year}-{row.month} lacked {missing}")
    return summary


def _lock_job(job: str) -> Select[Any]:
    return select(func.pg_advisory_xact_lock(func.hashtext(job)))


async def advance_year_totals(database: Database, progress: Progress = UNWATCHED) -> JobSummary:
    """Recompute the totals of customers for the year up to today.

    Raises `RetryAfter` if rows are locked by changes in progress.
    """
    now = clock.now()
    since = one_year_before(now.date())
    outdated = or_(CustomerYearTotal.since < since, CustomerYearTotal.since > since)
    locked = select(CustomerYearTotal.customer_id).where(outdated).with_for_update(skip_locked=True)

    async def recompute(connection: AsyncConnection, size: int) -> int:
        # A change of an invoice changes this row in the same transaction. Once it is locked, the
        # next statement sees the invoices of all earlier changes, and later ones add to the result.
        customers = (await connection.execute(locked.limit(size))).scalars().all()
        await connection.execute(_of_year(since, customers))
        return len(customers)

    if progress.is_watched:
        customers = select(func.count()).select_from(CustomerYearTotal).where(outdated)
        async with database.reading() as connection:
            progress.begin("customers", (await connection.execute(customers)).scalar_one())
    summary = JobSummary()
    summary.counts["customers"] = await run_in_batches(
        database.transaction, recompute, _BATCH, progress
    )
    async with database.reading() as connection:
        if (await connection.execute(select(exists().where(outdated)))).scalar_one():
            raise RetryAfter(_RETRY_AFTER)
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
