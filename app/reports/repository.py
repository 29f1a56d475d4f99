"""Statements for monthly reports."""

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from app.billing.periods import Period
from app.database.server_clock import database_now
from app.invoices.models import Invoice
from app.invoices.states import CHANGEABLE
from app.reports.models import MonthlyReport

_CATCH_UP_MONTHS = 12


async def find_unreported_months(connection: AsyncConnection, last: Period) -> list[Period]:
    """Return the months up to `last` whose reports are missing, oldest first.

    These are the months since the first report, at most a year; before the first, `last` alone.
    """
    statement = select(MonthlyReport.year, MonthlyReport.month)
    reported = {Period(year, month) for year, month in await connection.execute(statement)}
    first = max(min(reported, default=last), last.shifted(1 - _CATCH_UP_MONTHS))
    length = (last.year - first.year) * 12 + last.month - first.month + 1
    months = [first.shifted(number) for number in range(length)]
    return [month for month in months if month not in reported]


async def count_invoices(connection: AsyncConnection, period: Period) -> tuple[int, int]:
    """Return the number of invoices of a month, and how many of them may still change."""
    changeable = func.count().filter(Invoice.state.in_(CHANGEABLE))
    statement = select(func.count(), changeable).where(
        Invoice.year == period.year, Invoice.month == period.month
    )
    total, open_ = (await connection.execute(statement)).one()
    return total, open_


async def record_report(connection: AsyncConnection, period: Period) -> bool:
    """Record that the report of a month is scheduled; return False if it already is."""
    statement = (
        insert(MonthlyReport)
        .values(year=period.year, month=period.month, created_at=database_now())
        .on_conflict_do_nothing()
    )
    return (await connection.execute(statement)).rowcount == 1
