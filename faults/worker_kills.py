"""Killing a worker where it stands, and what is known afterwards."""

import asyncio
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from app.billing.enums import DeliveryState
from app.database.engine import Database
from app.deliveries.models import Delivery
from app.jobs import registry
from app.outbox import repository as outbox
from app.outbox.models import OutboxEntry
from faults.job_scenarios import JobScenario, create_orphaned_proofs
from faults.load import LoadGenerator
from faults.pause_points import Pause, PausePoint, pause_at
from faults.stack import Stack
from tests.support.smtp import Fault, Stage
from tests.support.worker import until

_MOMENT: Final = 0.1
"""Seconds in which what a killed worker has sent arrives."""
_SECONDS: Final = 90.0
_ORPHANS: Final = 3000
_GLIMPSE: Final = 0.005


async def kill_worker(
    stack: Stack, load: LoadGenerator, database: Database, at: Pause | None = None
) -> None:
    """Kill the worker, let go on what it has left at a gate, and start it again."""
    worker = stack.workers[0]
    worker.restarts = False
    worker.kill()
    await worker.gone()
    await asyncio.sleep(_MOMENT)
    if at is not None:
        await at.open()
    async with database.reading() as connection:
        load.unacknowledged_mails |= await _accepted_but_not_recorded(connection, stack)
    worker.restarts = True
    await worker.start()


async def kill_at(
    stack: Stack, load: LoadGenerator, database: Database, stages: JobScenario, place: PausePoint
) -> None:
    """Give a job something to do, kill the worker at a place of it, and see it done all the same.

    What was not is among the ledger's complaints.
    """
    task = await stages.prepare(stack, database, load)
    async with pause_at(database, place.of(task.names)) as closed:
        async with database.transaction() as connection:
            entry = await outbox.record_job(connection, stages.job, task.arguments)
        await closed.reached()
        await kill_worker(stack, load, database, closed)
    async with database.reading() as connection:

        async def is_done() -> bool:
            done = select(OutboxEntry.done_at).where(OutboxEntry.id == entry)
            return (await connection.execute(done)).scalar_one_or_none() is not None

        await until(is_done, _SECONDS)
        failed = select(OutboxEntry.last_error).where(OutboxEntry.id == entry)
        error = (await connection.execute(failed)).scalar_one()
        wrong = await task.check(connection)
    wrong += [error] if error else []
    load.request_log.violations += [f"{stages.job}, killed at {place}: {line}" for line in wrong]


async def kill_while_sending(
    stack: Stack, load: LoadGenerator, database: Database, place: PausePoint
) -> None:
    """Kill the worker at a place of the deliveries that the load asks for."""
    async with pause_at(database, place) as closed:
        await closed.reached()
        await kill_worker(stack, load, database, closed)


async def kill_in_smtp_session(
    stack: Stack, load: LoadGenerator, database: Database, stage: Stage
) -> None:
    """Kill the worker while the mail server lets it wait at a stage."""
    stack.smtp.fault = Fault(stage)
    try:
        async with asyncio.timeout(_SECONDS):
            await stack.smtp.fault.reached.wait()
        await kill_worker(stack, load, database)
    finally:
        stack.smtp.fault = None


async def kill_while_sweeping(stack: Stack, load: LoadGenerator, database: Database) -> None:
    """Kill the worker while files disappear, and see the rest of them disappear, too."""
    orphans = create_orphaned_proofs(stack, _ORPHANS)
    async with database.transaction() as connection:
        await outbox.record_job(connection, registry.SWEEP_PROOFS, {})
    async with asyncio.timeout(_SECONDS):
        while _are_there(orphans) == _ORPHANS:  # noqa: ASYNC110 - files set no event
            await asyncio.sleep(_GLIMPSE)
    await kill_worker(stack, load, database)
    if not _are_there(orphans):
        load.request_log.violations.append("the worker was killed too late, all files were gone")

    async def are_gone() -> bool:
        return not _are_there(orphans)

    await until(are_gone, _SECONDS)


def _are_there(paths: Iterable[Path]) -> int:
    return sum(path.exists() for path in paths)


async def _accepted_but_not_recorded(connection: AsyncConnection, stack: Stack) -> set[str]:
    sending = select(Delivery.message_id).where(Delivery.state == DeliveryState.SENDING)
    arrived = {mail.message["Message-ID"] for mail in stack.smtp.mailbox}
    return arrived & set((await connection.execute(sending)).scalars())
