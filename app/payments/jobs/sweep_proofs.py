"""Remove proofs without a payment: of uploads that broke off or were never recorded."""

from datetime import timedelta
from typing import Final

from sqlalchemy import select

from app.database.engine import Database
from app.outbox.outcome import JobSummary
from app.payments.models import Payment
from app.payments.proof_store.opening import open_store
from app.payments.proof_store.store import older_than
from app.progress import UNWATCHED, Progress
from app.settings import Settings

SAFE_AGE: Final = timedelta(days=1)
"""A younger file may belong to a payment that is being recorded."""
_BATCH: Final = 1000


async def sweep_proofs(
    database: Database, settings: Settings, progress: Progress = UNWATCHED
) -> JobSummary:
    """Remove what is in the store of proofs, is older than `SAFE_AGE` and belongs to no payment."""
    store = open_store(settings)
    summary = JobSummary()
    names = await older_than(store, SAFE_AGE)
    progress.begin("proofs", len(names))
    for start in range(0, len(names), _BATCH):
        batch = names[start : start + _BATCH]
        async with database.reading() as connection:
            found = await connection.execute(
                select(Payment.proof_key).where(Payment.proof_key.in_(batch))
            )
            used = set(found.scalars())
        for name in batch:
            if name not in used:
                await store.delete(name)
                summary.counts["removed"] += 1
        progress.advance(len(batch))
    return summary
