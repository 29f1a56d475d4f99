"""The jobs of the worker by name.

A job may run twice, or in two workers at once, and may be killed at any point; its effect is that
of one run.
"""

from collections.abc import Awaitable, Callable, Mapping
from datetime import time, timedelta
from typing import Final
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from app.billing.periods import Period
from app.database.batches import run_in_batches
from app.database.row_counts import merge_row_counts, repair_row_counts
from app.database.server_clock import database_now
from app.deliveries import schedule
from app.idempotency.repository import delete_expired
from app.invoices.actions.issue import NOTIFY
from app.invoices.jobs.close_month import close_month
from app.invoices.jobs.freeze_issued import freeze_issued
from app.invoices.jobs.reconcile_totals import reconcile_totals
from app.invoices.jobs.represent_issued import REPRESENT_ISSUED, represent_issued
from app.invoices.jobs.summaries import advance_year_totals, merge_summaries, repair_summaries
from app.invoices.models import Invoice
from app.invoices.repository.writes import lock_if_notifiable
from app.jobs.runner import Job, JobRun
from app.notifications.sending import longest_attempt
from app.outbox import repository as outbox
from app.outbox.outcome import JobSummary, PermanentError, RetryAfter
from app.payments.jobs.sweep_proofs import sweep_proofs
from app.reports.jobs.monthly_report import send_monthly_reports
from app.reports.jobs.send_report import send_report
from app.reports.models import SEND_REPORT
from app.settings import Settings

CLOSE_MONTH: Final = "close_month"
FREEZE_ISSUED: Final = "freeze_issued"
RECONCILE_TOTALS: Final = "reconcile_totals"
MERGE_TALLIES: Final = "merge_tallies"
BRING_YEAR_FORWARD: Final = "bring_year_forward"
MONTHLY_REPORTS: Final = "monthly_reports"
SWEEP_PROOFS: Final = "sweep_proofs"
PURGE_OUTBOX: Final = "purge_outbox"
PURGE_ANSWERS: Final = "purge_answers"

_PURGE_BATCH: Final = 5000
_EVERY_TEN_MINUTES: Final = tuple(time(h, m) for h in range(24) for m in range(5, 60, 10))


def _hourly(minute: int) -> tuple[time, ...]:
    return tuple(time(hour, minute) for hour in range(24))


def _parse_uuid(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError as error:
        raise PermanentError(f"{text!r} is not a UUID.") from error


async def _deliver(run: JobRun, *, delivery: str) -> None:
    delay = await run.sender.send_delivery(_parse_uuid(delivery))
    if delay is not None:
        raise RetryAfter(delay)


async def _notify(run: JobRun, *, invoice: str) -> JobSummary:
    summary = JobSummary()
    uuid = _parse_uuid(invoice)
    async with run.database.transaction() as connection:
        await run.finish(connection)
        statement = select(Invoice.id, Invoice.customer_id).where(Invoice.uuid == uuid)
        found = (await connection.execute(statement)).one_or_none()
        if found is None:
            raise PermanentError(f"There is no invoice {invoice}.")
        if await lock_if_notifiable(connection, found.id):
            scheduled = await schedule.schedule_deliveries(
                connection, run.settings, invoice_id=found.id, customer_id=found.customer_id
            )
            summary.counts["deliveries scheduled"] = len(scheduled)
    return summary


async def _send_report(
    run: JobRun, *, year: int, month: int, recipient: str, message: str
) -> JobSummary:
    return await send_report(
        run.sender,
        Period(int(year), int(month)),
        recipient=recipient,
        message=_parse_uuid(message),
    )


async def _close_month(
    run: JobRun, include_imported: bool = False, notify_imported: bool = False
) -> JobSummary:
    summary = await close_month(
        run.database,
        run.settings,
        include_imported=include_imported,
        notify_imported=notify_imported,
        progress=run.progress,
    )
    issued = summary.counts["issued"] + summary.counts["issued as paid"]
    return await _then_represent(run, summary, issued)


async def _freeze_issued(run: JobRun) -> JobSummary:
    summary = await freeze_issued(run.database, run.settings, run.progress)
    return await _then_represent(run, summary, summary.counts["frozen"])


async def _then_represent(run: JobRun, summary: JobSummary, frozen: int) -> JobSummary:
    """Have frozen invoices represented soon, not only at the next full run."""
    if frozen:
        async with run.database.transaction() as connection:
            now = (await connection.execute(select(database_now()))).scalar_one()
            await outbox.record_job_once(connection, REPRESENT_ISSUED, now)
    return summary


async def _reconcile_totals(run: JobRun) -> JobSummary:
    # The summaries last: they depend on the repaired totals.
    totals = await reconcile_totals(run.database, run.settings.audit_key, run.progress)
    run.progress.begin("summaries")
    summaries = await repair_summaries(run.database)
    summary = JobSummary(totals.counts + summaries.counts, totals.notes + summaries.notes)
    async with run.database.transaction() as connection:
        for counted_table, number in (await repair_row_counts(connection)).items():
            summary.counts["row counts repaired"] += 1
            summary.notes.append(f"the row count of {counted_table} lacked {number}")
    return summary


async def _merge_summaries(run: JobRun) -> JobSummary:
    summary = await merge_summaries(run.database)
    async with run.database.transaction() as connection:
        summary.counts["rows fewer"] += await merge_row_counts(connection)
    return summary


async def _purge(
    run: JobRun, delete: Callable[[AsyncConnection, int], Awaitable[int]]
) -> JobSummary:
    summary = JobSummary()
    run.progress.begin("rows")
    summary.counts["purged"] = await run_in_batches(
        run.database.transaction, delete, _PURGE_BATCH, run.progress
    )
    return summary


def build_registry(settings: Settings) -> Mapping[str, Job]:
    """Return all jobs by name."""
    short, long = timedelta(minutes=5), timedelta(hours=2)
    return {
        schedule.DELIVER: Job(
            _deliver,
            longest_attempt(settings) + timedelta(minutes=2),
            "Sends one notification to one recipient: delivery=UUID.",
            sends_mail=True,
        ),
        NOTIFY: Job(_notify, short, "Schedules the notifications of an invoice: invoice=UUID."),
        # Hourly, not monthly: customers whose accounting starts in mid-month get their invoice, and
        # a month is closed as soon as possible after its grace period or what prevented it.
        CLOSE_MONTH: Job(
            _close_month,
            long,
            "Issues invoices of past months and opens those of the current month.",
            _hourly(5),
        ),
        SEND_REPORT: Job(
            _send_report,
            long,
            "Mails a report: year=YEAR month=MONTH recipient=ADDRESS message=UUID.",
            sends_mail=True,
        ),
        # After the close of the month, which issues the invoices that a report waits for.
        MONTHLY_REPORTS: Job(
            lambda run: send_monthly_reports(run.database, run.settings),
            short,
            "Schedules the reports of past months to REPORT_RECIPIENTS.",
            _hourly(25),
        ),
        FREEZE_ISSUED: Job(
            _freeze_issued,
            long,
            "Freezes invoices that an earlier release issued.",
            _hourly(35),
        ),
        # The close of the month, the freeze and imports record it, too.
        REPRESENT_ISSUED: Job(
            lambda run: represent_issued(run.database, run.settings, run.progress),
            long,
            "Stores frozen invoices as the API sends them.",
            _hourly(20),
        ),
        RECONCILE_TOTALS: Job(
            _reconcile_totals,
            long,
            "Compares totals with items, summaries and row counts, and repairs them.",
            (time(2, 30),),
        ),
        MERGE_TALLIES: Job(
            _merge_summaries,
            short,
            "Merges the rows of the summaries of invoices and of row counts.",
            _EVERY_TEN_MINUTES,
        ),
        BRING_YEAR_FORWARD: Job(
            lambda run: advance_year_totals(run.database, run.progress),
            long,
            "Moves the customers' yearly sums to the year ending today.",
            (time(0, 0), time(6, 0)),
        ),
        SWEEP_PROOFS: Job(
            lambda run: sweep_proofs(run.database, run.settings, run.progress),
            long,
            "Deletes proof files that belong to no payment.",
            (time(3, 30),),
        ),
        PURGE_OUTBOX: Job(
            lambda run: _purge(run, outbox.purge_done),
            long,
            "Deletes old finished entries of the outbox.",
            (time(4, 30),),
        ),
        PURGE_ANSWERS: Job(
            lambda run: _purge(run, delete_expired),
            long,
            "Deletes expired stored responses.",
            _hourly(15),
        ),
    }
