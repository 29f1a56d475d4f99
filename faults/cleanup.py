"""Checks the remains of a fault: proof files and open deliveries."""

import asyncio
import os
from contextlib import suppress
from time import monotonic

from sqlalchemy import func, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from app import clock
from app.database.engine import Database
from app.deliveries.models import OPEN, Delivery
from app.deliveries.schedule import DELIVER
from app.outbox.models import OutboxEntry
from app.payments.jobs.sweep_proofs import SAFE_AGE, sweep_proofs
from app.payments.models import Payment
from app.payments.proof_store.opening import open_store
from app.settings import Settings
from faults.stack import Stack

_MOMENT = 0.1
_MAKE_DUE = (
    "UPDATE outbox SET due_at = now() WHERE done_at IS NULL",
    f"UPDATE notification_deliveries SET next_attempt_at = now() WHERE {OPEN}",
)


async def sweep_and_check_proofs(database: Database, settings: Settings) -> list[str]:
    """Run the sweep on aged proofs; return missing proofs and remaining orphans.

    Those of a bucket are aged by `Stack.age_objects`.
    """
    store = open_store(settings)
    aged = (clock.now() - 2 * SAFE_AGE).timestamp()
    if settings.proof_store is None and settings.proof_dir.is_dir():
        for path in settings.proof_dir.iterdir():
            os.utime(path, (aged, aged))
    await sweep_proofs(database, settings)
    async with database.reading() as connection:
        keys = select(Payment.proof_key).where(Payment.proof_key.is_not(None))
        named = set((await connection.execute(keys)).scalars())
    left = set(await store.list())
    return [
        *(f"the proof {key} is missing" for key in named - left),
        *(f"the file {name} belongs to no payment" for name in left - named),
    ]


async def wait_for_deliveries(database: Database, seconds: float) -> float:
    """Wait until every delivery is finished; return the seconds. Raises TimeoutError."""
    begun = monotonic()
    async with asyncio.timeout(seconds):
        while True:
            async with database.reading() as connection:
                if not await _open_deliveries(connection):
                    return monotonic() - begun
            await asyncio.sleep(_MOMENT)


async def expedite_deliveries(stack: Stack, database: Database, seconds: float) -> None:
    """Make all open deliveries due now, and wait until they are finished.

    The workers are stopped first, so that none of them is sending a delivery at that moment.
    """
    with suppress(TimeoutError):
        await wait_for_deliveries(database, 1)
        return
    for worker in stack.workers:
        await worker.stop()
    async with database.transaction() as connection:
        for statement in _MAKE_DUE:
            await connection.execute(text(statement))
    for worker in stack.workers:
        worker.restarts = True
        await worker.start()
    await wait_for_deliveries(database, seconds)


async def _open_deliveries(connection: AsyncConnection) -> int:
    """Count the open deliveries and the open jobs that send them."""
    deliveries = select(func.count()).select_from(Delivery).where(text(OPEN))
    jobs = select(func.count()).where(OutboxEntry.done_at.is_(None), OutboxEntry.job == DELIVER)
    counted = await connection.execute(
        select(deliveries.scalar_subquery() + jobs.scalar_subquery())
    )
    return int(counted.scalar_one())
