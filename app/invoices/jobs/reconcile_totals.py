"""Compare the totals of invoices with their items, and repair them.

Triggers keep the totals. A drift means that something bypassed the triggers; it is reported, since
an operator should find the cause.
"""

from typing import Any, Final

from pydantic import SecretStr
from sqlalchemy import Row

from app.audit.actor import Actor
from app.audit.writer import audited_transaction
from app.database import import_lock
from app.database.engine import Database
from app.invoices.repository import totals
from app.logging import get_logger
from app.outbox.outcome import JobSummary, RetryAfter
from app.progress import UNWATCHED, Progress

_BATCH: Final = 500
_ACTOR: Final = Actor("reconcile_totals")

_logger = get_logger(__name__)


async def reconcile_totals(
    database: Database, key: SecretStr, progress: Progress = UNWATCHED
) -> JobSummary:
    """Compare the totals of every invoice with its items; report and repair those that drifted.

    Other invoices are not written: they keep their revision. `key` is the key of the audit record.
    Raises `RetryAfter` if a total is to be repaired while an import runs.
    """
    summary = JobSummary()
    if progress.is_watched:
        async with database.reading() as connection:
            progress.begin("invoices", await totals.count_invoices(connection))
    after = 0
    while True:
        async with database.reading() as connection:
            last = await totals.end_of_batch(connection, after, _BATCH)
            if last is None:
                return summary
            drifted = await totals.find_drifted(connection, after, last)
        for invoice_id in drifted:
            await _repair(database, key, invoice_id, summary)
        progress.advance(_BATCH)
        after = last


async def _repair(database: Database, key: SecretStr, invoice_id: int, summary: JobSummary) -> None:
    async with audited_transaction(database, key, _ACTOR) as connection:
        if not await import_lock.try_lock_out_imports(connection):
            raise RetryAfter(import_lock.RETRY_AFTER, import_lock.REASON)
        # A change of items changes this row in the same transaction. Once it is locked, the next
        # statement sees the items of all earlier changes, and later ones add to the result.
        stored = await totals.lock_totals(connection, invoice_id)
        if stored is None:
            return
        correct = await totals.compute_totals(connection, invoice_id)
        drift = ", ".join(_differences(stored, correct))
        if not drift:
            return
        await totals.set_totals(connection, invoice_id, correct)
    _logger.warning("totals drifted", number=stored.number, drift=drift)
    summary.counts["repaired"] += 1
    summary.notes.append(f"invoice {stored.number} had {drift}")


def _differences(stored: Row[Any], correct: Row[Any]) -> list[str]:
    pairs = ((name, getattr(stored, name), getattr(correct, name)) for name in totals.TOTALS)
    return [
        f"{name} {wrong.normalize():f} instead of {right.normalize():f}"
        for name, wrong, right in pairs
        if wrong != right
    ]
