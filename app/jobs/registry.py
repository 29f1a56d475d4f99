"""The jobs of the worker by name.

A job may run twice, or in two workers at once, and may be killed at any point; its effect is that
of one run.
"""

from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from typing import Final
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from app.database.batches import run_in_batches
from app.deliveries import schedule
from app.idempotency import repository as stored_responses
from app.idempotency.keys import LIFETIME
from app.invoices.actions.issue import NOTIFY
from app.invoices.jobs.close_month import close_month
from app.invoices.jobs.reconcile_totals import reconcile_totals
from app.invoices.jobs.summaries import advance_year_totals, merge_summaries, repair_summaries
from app.invoices.models import Invoice
from app.invoices.repository.writes import lock_if_notifiable
from app.jobs.job import Job, JobRun
from app.notifications.sending import longest_attempt, send_delivery
from app.outbox import repository as outbox
from app.outbox.outcome import JobSummary, PermanentError, RetryAfter
from app.payments.jobs.sweep_proofs import sweep_proofs
from app.settings import Settings

CLOSE_MONTH: Final = "close_month"
RECONCILE_TOTALS: Final = "reconcile_totals"
MERGE_TALLIES: Final = "merge_tallies"
BRING_YEAR_FORWARD: Final = "bring_year_forward"
SWEEP_PROOFS: Final = "sweep_proofs"
PURGE_OUTBOX: Final = "purge_outbox"
PURGE_ANSWERS: Final = "purge_answers"

_DONE_RETENTION: Final = timedelta(days=7)
_FAILED_RETENTION: Final = timedelta(days=90)
_PURGE_BATCH: Final = 5000


def _parse_uuid(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError as error:
        raise PermanentError(f"{text!r} is not a UUID.") from error


async def _deliver(run: JobRun, *, delivery: str) -> None:
    delay = await send_delivery(run.database, run.settings, _parse_uuid(delivery))
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


async def _close_month(
    run: JobRun, *, include_imported: bool = False, notify_imported: bool = False
) -> JobSummary:
    return await close_month(
        run.database,
        run.settings,
        include_imported=include_imported,
        notify_imported=notify_imported,
    )


async def _reconcile_totals(run: JobRun) -> JobSummary:
    # The summaries last: they depend on the repaired totals.
    totals = await reconcile_totals(run.database, run.settings.audit_key)
    summaries = await repair_summaries(run.database)
    return JobSummary(totals.counts + summaries.counts, totals.notes + summaries.notes)


async def _merge_summaries(run: JobRun) -> JobSummary:
    return await merge_summaries(run.database)


async def _bring_year_forward(run: JobRun) -> JobSummary:
    return await advance_year_totals(run.database)


async def _sweep_proofs(run: JobRun) -> JobSummary:
    return await sweep_proofs(run.database, run.settings)


async def _purge_outbox(run: JobRun) -> JobSummary:
    return await _purge_in_batches(
        run,
        lambda connection, limit: outbox.purge_done(
            connection, done_for=_DONE_RETENTION, failed_for=_FAILED_RETENTION, limit=limit
        ),
    )


async def _purge_stored_responses(run: JobRun) -> JobSummary:
    return await _purge_in_batches(
        run,
        lambda connection, limit: stored_responses.delete_responses(
            connection, older_than=LIFETIME, limit=limit
        ),
    )


async def _purge_in_batches(
    run: JobRun, purge: Callable[[AsyncConnection, int], Awaitable[int]]
) -> JobSummary:
    summary = JobSummary()
    summary.counts["purged"] = await run_in_batches(run.database.transaction, purge, _PURGE_BATCH)
    return summary


def build_registry(settings: Settings) -> Mapping[str, Job]:
    """Return all jobs by name."""
    short, long = timedelta(minutes=5), timedelta(hours=2)
    return {
        schedule.DELIVER: Job(
            _deliver,
            longest_attempt(settings) + timedelta(minutes=2),
            "Sends one notification to one recipient: delivery=UUID.",
        ),
        NOTIFY: Job(_notify, short, "Schedules the notifications of an invoice: invoice=UUID."),
        CLOSE_MONTH: Job(
            _close_month,
            long,
            "Issues invoices of past months and opens those of the current month.",
        ),
        RECONCILE_TOTALS: Job(
            _reconcile_totals, long, "Compares totals with items and summaries, and repairs them."
        ),
        MERGE_TALLIES: Job(
            _merge_summaries, short, "Merges the rows of the summaries of invoices."
        ),
        BRING_YEAR_FORWARD: Job(
            _bring_year_forward,
            long,
            "Moves the customers' yearly sums to the year ending today.",
        ),
        SWEEP_PROOFS: Job(_sweep_proofs, long, "Deletes proof files that belong to no payment."),
        PURGE_OUTBOX: Job(_purge_outbox, long, "Deletes old finished entries of the outbox."),
        PURGE_ANSWERS: Job(_purge_stored_responses, long, "Deletes expired stored responses."),
    }
