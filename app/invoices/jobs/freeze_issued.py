"""Freeze the invoices that were issued before the service froze them, in batches.

Each batch is a transaction, so that the job may be stopped at any point and goes on where it was.
Afterwards it finds nothing: the issue and imports freeze invoices themselves.
"""

from collections.abc import Sequence
from typing import Final

from app.audit.writer import audited_transaction
from app.database import import_lock, timeouts
from app.database.engine import Database
from app.invoices.actions.freeze import FREEZER, freeze
from app.invoices.jobs.failures import invoice_name, work_in_halves
from app.invoices.repository.documents import (
    UnfrozenInvoice,
    count_unfrozen,
    find_unfrozen,
    lock_unfrozen,
)
from app.outbox.outcome import JobSummary, RetryAfter
from app.progress import UNWATCHED, Progress
from app.settings import Settings

_BATCH: Final = 200


async def freeze_issued(
    database: Database, settings: Settings, progress: Progress = UNWATCHED
) -> JobSummary:
    """Freeze every issued invoice without a document; raises `RetryAfter` while an import runs.

    An invoice that cannot be frozen does not stop the others: the summary lists it among the
    failures.
    """
    summary = JobSummary()

    async def freeze_batch(batch: Sequence[UnfrozenInvoice]) -> None:
        async with audited_transaction(database, settings.audit_key, FREEZER) as connection:
            await timeouts.disable_timeouts(connection)
            if not await import_lock.try_lock_out_imports(connection):
                raise RetryAfter(import_lock.RETRY_AFTER, import_lock.REASON)
            locked = await lock_unfrozen(connection, [invoice.id for invoice in batch])
            frozen = await freeze(connection, locked, settings)
        summary.counts["frozen"] += frozen

    if progress.is_watched:
        async with database.reading() as connection:
            progress.begin("invoices", await count_unfrozen(connection))
    after = 0
    while True:
        async with database.reading() as connection:
            found = await find_unfrozen(connection, after=after, limit=_BATCH)
        if not found:
            return summary
        await work_in_halves(database, found, freeze_batch, summary, invoice_name)
        progress.advance(len(found))
        after = found[-1].id
