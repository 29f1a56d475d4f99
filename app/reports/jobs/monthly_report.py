"""Mails the report of each month once its invoices can no longer change."""

from app import clock
from app.billing.periods import Period
from app.database.engine import Database
from app.outbox.outcome import JobSummary
from app.reports import repository
from app.reports.actions.schedule_report import ScheduleReport, schedule_report
from app.settings import Settings


async def send_monthly_reports(database: Database, settings: Settings) -> JobSummary:
    """Schedule the reports of past months to REPORT_RECIPIENTS, each month once.

    A month is due when none of its invoices is pending or waits for late usage. One without
    invoices has no report.
    """
    summary = JobSummary()
    if not settings.report_recipients:
        return summary
    last = Period.containing(clock.today()).shifted(-1)
    async with database.reading() as connection:
        months = await repository.find_unreported_months(connection, last)
    for month in months:
        async with database.transaction() as connection:
            invoices, changeable = await repository.count_invoices(connection, month)
            if not invoices or changeable:
                continue
            if await repository.record_report(connection, month):
                command = ScheduleReport(month, settings.report_recipients)
                summary.counts["reports scheduled"] += await schedule_report(connection, command)
    return summary
