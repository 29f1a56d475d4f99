"""Remove proofs without a payment: of uploads that broke off or were never recorded."""

import asyncio
from datetime import timedelta
from typing import Final

from sqlalchemy import select

from app.database.engine import Database
from app.outbox.outcome import JobSummary
from app.payments.models import Payment
from app.payments.proofs import ProofStore
from app.progress import UNWATCHED, Progress
from app.settings import Settings

SAFE_AGE: Final = timedelta(days=1)
"""A younger file may belong to a payment that is being recorded."""
_BATCH: Final = 1000


async def sweep_proofs(
    database: Database, settings: Settings, progress: Progress = UNWATCHED
) -> JobSummary:
    """Remove files of the proof store that are older than `SAFE_AGE` and belong to no payment."""
    store = ProofStore(settings.proof_dir, settings.proof_max_bytes)
    summary = JobSummary()
    names = await asyncio.to_thread(store.older_than, SAFE_AGE)
    progress.begin("files", len(names))
    for start in range(0, len(names), _BATCH):
        batch = names[start : start + _BATCH]
        async with database.reading() as connection:
            found = await connection.execute(
                select(Payment.proof_key).where(Payment.proof_key.in_(batch))
            )
            used = set(found.scalars())
        for name in batch:
            if name not in used:
                path = store.directory / name
                await asyncio.to_thread(path.unlink, missing_ok=True)
                summary.counts["removed"] += 1
        progress.advance(len(batch))
    return summary
