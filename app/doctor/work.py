"""Checks of the work: late and failed jobs, failed mail, open months, credits."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Final

from sqlalchemy import func, select

from app import clock
from app.billing.enums import DeliveryState
from app.billing.periods import Period
from app.credits.models import CustomerCredit, ProjectCredit
from app.customers.models import Project
from app.database.engine import Database
from app.database.server_clock import database_now, time_between
from app.deliveries.models import Delivery
from app.doctor.check_result import CheckResult, warning, well, wrong
from app.invoices.jobs.close_month import find_close_status
from app.invoices.queries.stored_currency import stored_currency
from app.invoices.repository.documents import count_unfrozen
from app.outbox.models import OutboxEntry
from app.reports.repository import count_invoices, find_unreported_months
from app.settings import Settings

_MAX_COUNT: Final = 100_000
"""Invoices counted at most."""
_RECENT: Final = timedelta(days=7)
_LATE: Final = timedelta(minutes=1)
_VERY_LATE: Final = timedelta(minutes=10)


async def currency(database: Database, settings: Settings) -> AsyncIterator[CheckResult]:
    """Compare CURRENCY with the currency of the stored invoices."""
    setting = settings.currency.code
    async with database.reading() as connection:
        stored = await stored_currency(connection)
    if stored.code == setting:
        yield well(f"amounts are in {setting}, with {stored.decimals} decimals")
    elif not stored.is_fixed:
        yield well(f"amounts will be in {setting} from the next start on")
    else:
        yield wrong(
            f"CURRENCY is {setting}, but the invoices in the database are in {stored.code}",
            f"Set CURRENCY={stored.code}, or use another database.",
        )


async def outbox(database: Database, _settings: Settings) -> AsyncIterator[CheckResult]:
    """Check for late jobs, and for jobs that failed for good within seven days."""
    now = database_now()
    waiting = select(func.count(), time_between(func.min(OutboxEntry.due_at), now)).where(
        OutboxEntry.done_at.is_(None), OutboxEntry.due_at <= now
    )
    failed = (
        select(OutboxEntry.job, func.count())
        .where(OutboxEntry.done_at > now - _RECENT, OutboxEntry.last_error != "")
        .group_by(OutboxEntry.job)
        .order_by(OutboxEntry.job)
    )
    async with database.reading() as connection:
        number, late = (await connection.execute(waiting)).one()
        failures = (await connection.execute(failed)).all()
    is_late = late is not None and late > _LATE
    if is_late:
        level = wrong if late > _VERY_LATE else warning
        yield level(
            f"{number} jobs are due, the oldest for {late.total_seconds():.0f} s",
            "Check that a worker runs, and read its log; more workers share the work.",
        )
    if failures:
        names = ", ".join(f"{job} ({times})" for job, times in failures)
        yield warning(
            f"failed for good within seven days: {names}",
            "The column `last_error` of the table outbox says why; `python -m app job` runs a job"
            " by hand.",
        )
    elif not is_late:
        yield well(f"{number} jobs are due, none is late, and none failed lately")


async def documents(database: Database, _settings: Settings) -> AsyncIterator[CheckResult]:
    """Check for issued invoices without a frozen document, which only an earlier release leaves."""
    async with database.reading() as connection:
        number = await count_unfrozen(connection, _MAX_COUNT)
    if number:
        at_least = "at least " if number == _MAX_COUNT else ""
        yield warning(
            f"{at_least}{number} issued invoices have no frozen document yet",
            "The job freeze_issued freezes them every hour; `python -m app job freeze_issued` runs"
            " it now.",
        )
    else:
        yield well("every issued invoice has a frozen document")


async def credits(database: Database, _settings: Settings) -> AsyncIterator[CheckResult]:
    """Check for customers whose projects have more credit than they have themselves."""
    shares = (
        select(Project.customer_id, func.sum(ProjectCredit.value).label("value"))
        .join(ProjectCredit, ProjectCredit.project_id == Project.id)
        .group_by(Project.customer_id)
        .subquery()
    )
    exceeded = (
        select(func.count())
        .select_from(shares)
        .outerjoin(CustomerCredit, CustomerCredit.customer_id == shares.c.customer_id)
        .where(shares.c.value > func.coalesce(CustomerCredit.value, 0))
    )
    async with database.reading() as connection:
        number = (await connection.execute(exceeded)).scalar_one()
    if number:
        yield warning(
            f"the projects of {number} customers have more credit than their customer",
            "Their customer's credit limits them: raise it, or lower the credits of projects.",
        )
    else:
        yield well("no projects have more credit than their customer")


async def deliveries(database: Database, _settings: Settings) -> AsyncIterator[CheckResult]:
    """Check for notifications that could not be delivered within seven days."""
    failed = select(func.count()).where(
        Delivery.state == DeliveryState.FAILED, Delivery.created_at > database_now() - _RECENT
    )
    async with database.reading() as connection:
        number = (await connection.execute(failed)).scalar_one()
    if number:
        yield warning(
            f"{number} notifications of the last seven days failed",
            "`python -m app delivery list --state failed` says why; `delivery retry` tries again.",
        )
    else:
        yield well("no notification of the last seven days failed")


async def months(database: Database, settings: Settings) -> AsyncIterator[CheckResult]:
    """Check that the past months are closed, but for those that wait for late usage."""
    last = Period.containing(clock.today()).shifted(-1)
    async with database.reading() as connection:
        status = await find_close_status(connection, _MAX_COUNT, settings.finalization_grace)
    closed, number = status.last_closed, status.overdue
    if number == 0:
        message = f"{closed.year}-{closed.month:02} and all months before are closed"
        yield well(message if closed == last else f"{message}; later ones wait for late usage")
    else:
        yield wrong(
            f"{number} invoices of {last.year}-{last.month:02} or before are still pending",
            "Check that a worker runs; `python -m app job close_month` issues them and prints what"
            " fails.",
        )


async def reports(database: Database, settings: Settings) -> AsyncIterator[CheckResult]:
    """Check that the reports of past months were scheduled, if there are to be any."""
    if not settings.report_recipients:
        return
    last = Period.containing(clock.today()).shifted(-1)
    async with database.reading() as connection:
        months = await find_unreported_months(connection, last)
        counts = [await count_invoices(connection, month) for month in months]
    waiting = [
        f"{month.year}-{month.month:02} ({changeable} invoices)"
        for month, (_, changeable) in zip(months, counts, strict=True)
        if changeable
    ]
    if waiting:
        yield warning(
            f"reports wait for invoices that are not issued: {', '.join(waiting)}",
            "`python -m app job close_month` issues invoices; with --include-imported also"
            " imported ones.",
        )
    else:
        yield well("no monthly report waits for invoices")
