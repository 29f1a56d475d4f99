"""Kills a worker at a given point and checks that its work is done by the next one."""

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
"""Seconds in which data sent by a killed worker arrives."""
_SECONDS: Final = 90.0
_ORPHANS: Final = 3000
_POLL_INTERVAL: Final = 0.005


async def kill_worker(
    stack: Stack, load: LoadGenerator, database: Database, at: Pause | None = None
) -> None:
    """Kill the worker, resume its paused transaction, and start it again."""
    worker = stack.workers[0]
    worker.restarts = False
    worker.kill()
    await worker.wait_for_exit()
    await asyncio.sleep(_MOMENT)
    if at is not None:
        await at.resume()
    async with database.reading() as connection:
        load.unacknowledged_mails |= await _accepted_but_not_recorded(connection, stack)
    worker.restarts = True
    await worker.start()


async def kill_at(
    stack: Stack, load: LoadGenerator, database: Database, scenario: JobScenario, point: PausePoint
) -> None:
    """Prepare and record a job, kill the worker at a pause point of it, and check its result.

    Errors are added to the violations of the request log.
    """
    job = await scenario.prepare(stack, database, load)
    async with pause_at(database, point.with_names(job.names)) as pause:
        async with database.transaction() as connection:
            entry = await outbox.record_job(connection, scenario.job, job.arguments)
        await pause.reached()
        await kill_worker(stack, load, database, pause)
    async with database.reading() as connection:

        async def is_done() -> bool:
            done = select(OutboxEntry.done_at).where(OutboxEntry.id == entry)
            return (await connection.execute(done)).scalar_one_or_none() is not None

        await until(is_done, _SECONDS)
        failed = select(OutboxEntry.last_error).where(OutboxEntry.id == entry)
        error = (await connection.execute(failed)).scalar_one()
        wrong = await job.check(connection)
    wrong += [error] if error else []
    load.request_log.violations += [f"{scenario.job}, killed at {point}: {line}" for line in wrong]


async def kill_while_sending(
    stack: Stack, load: LoadGenerator, database: Database, point: PausePoint
) -> None:
    """Kill the worker at a pause point of the deliveries that the load causes."""
    async with pause_at(database, point) as pause:
        await pause.reached()
        await kill_worker(stack, load, database, pause)


async def kill_in_smtp_session(
    stack: Stack, load: LoadGenerator, database: Database, stage: Stage
) -> None:
    """Kill the worker while the mail server hangs at a stage."""
    stack.smtp.fault = Fault(stage)
    try:
        async with asyncio.timeout(_SECONDS):
            await stack.smtp.fault.reached.wait()
        await kill_worker(stack, load, database)
    finally:
        stack.smtp.fault = None


async def kill_while_sweeping(stack: Stack, load: LoadGenerator, database: Database) -> None:
    """Kill the worker while it deletes files, and check that the rest is deleted, too."""
    orphans = create_orphaned_proofs(stack, _ORPHANS)
    async with database.transaction() as connection:
        await outbox.record_job(connection, registry.SWEEP_PROOFS, {})
    async with asyncio.timeout(_SECONDS):
        while _count_existing(orphans) == _ORPHANS:  # noqa: ASYNC110 - files set no event
            await asyncio.sleep(_POLL_INTERVAL)
    await kill_worker(stack, load, database)
    if not _count_existing(orphans):
        load.request_log.violations.append("the worker was killed too late: all files were deleted")

    async def are_deleted() -> bool:
        return not _count_existing(orphans)

    await until(are_deleted, _SECONDS)


def _count_existing(paths: Iterable[Path]) -> int:
    return sum(path.exists() for path in paths)


async def _accepted_but_not_recorded(connection: AsyncConnection, stack: Stack) -> set[str]:
    sending = select(Delivery.message_id).where(Delivery.state == DeliveryState.SENDING)
    arrived = {mail.message["Message-ID"] for mail in stack.smtp.mailbox}
    return arrived & set((await connection.execute(sending)).scalars())
