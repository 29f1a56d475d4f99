"""Store frozen documents as the API sends them, so that reads need not render them.

Until an invoice has its representation, it is rendered from its document. Each batch is a
transaction; the job may be stopped at any point and goes on where it was.
"""

from collections.abc import Sequence
from typing import Final

from app.api.serializers import build_links
from app.database import timeouts
from app.database.engine import Database
from app.invoices.jobs.failures import invoice_name, work_in_halves
from app.invoices.rendering.represented_documents import store_documents
from app.invoices.rendering.stored_documents import form_of
from app.invoices.repository.representations import (
    UnrepresentedInvoice,
    count_unrepresented,
    delete_other_forms,
    find_unrepresented,
)
from app.outbox.outcome import JobSummary
from app.progress import UNWATCHED, Progress
from app.settings import Settings

REPRESENT_ISSUED: Final = "represent_issued"
"""The name of the job."""
_BATCH: Final = 50
"""Invoices that a transaction stores. PostgreSQL sorts all of their items."""
_DELETED: Final = 5000


async def represent_issued(
    database: Database, settings: Settings, progress: Progress = UNWATCHED
) -> JobSummary:
    """Store the missing representations, then delete those of an earlier release or setting.

    An invoice that cannot be rendered does not stop the others: the summary lists it among the
    failures.
    """
    form = form_of(build_links(settings))
    summary = JobSummary()

    async def store_batch(batch: Sequence[UnrepresentedInvoice]) -> None:
        async with database.transaction() as connection:
            await timeouts.disable_timeouts(connection)
            await store_documents(connection, batch, settings)
        summary.counts["stored"] += len(batch)

    if progress.is_watched:
        async with database.reading() as connection:
            progress.begin("invoices", await count_unrepresented(connection, form))
    after = 0
    while True:
        async with database.reading() as connection:
            found = await find_unrepresented(connection, form, after=after, limit=_BATCH)
        if not found:
            break
        await work_in_halves(database, found, store_batch, summary, invoice_name)
        progress.advance(len(found))
        after = found[-1].id
    progress.begin("former parts")
    while True:
        async with database.transaction() as connection:
            deleted = await delete_other_forms(connection, form, _DELETED)
        if not deleted:
            return summary
        summary.counts["deleted"] += deleted
        progress.advance(deleted)
