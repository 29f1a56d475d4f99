"""Workers for tests: in this process, or as a process of their own that can be killed."""

import asyncio
import os
import signal
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from app.jobs.worker import WorkerProcess
from app.outbox.models import OutboxEntry
from app.settings import Settings

ROOT = str(Path(__file__).parents[2])


@asynccontextmanager
async def worker_here(settings: Settings) -> AsyncIterator[WorkerProcess]:
    """Run a whole worker, on arq, in this process; it ends in order with the context."""
    process = WorkerProcess(settings)
    running = asyncio.create_task(process.run())
    try:
        yield process
    finally:
        process.stop()
        await running


@asynccontextmanager
async def worker_process(
    settings: Settings,
    *command: str,
    code: str = ROOT,
    log: Path | None = None,
    **environment: str,
) -> AsyncIterator[Process]:
    """Run `python -m app worker`, or another command, as a process; it is killed at the end.

    `code` is the folder of another version of the service. What it writes is kept in `log`, where
    that is given.
    """
    command = command or ("-m", "app", "worker")
    process = await start_process(settings, *command, code=code, log=log, **environment)
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def start_process(
    settings: Settings,
    *arguments: str,
    code: str = ROOT,
    log: Path | None = None,
    **environment: str,
) -> Process:
    """Start Python with the arguments and these settings in its environment."""
    given = {
        "DATABASE_URL": settings.database_url.replace("+asyncpg", ""),
        "DATABASE_POOL_SIZE": str(settings.database_pool_size),
        "REDIS_URL": settings.redis_url,
        "QUEUE_NAME": settings.queue_name,
        "JOB_LEASE": str(settings.job_lease),
        "PROOF_DIR": str(settings.proof_dir),
        "MAIL_DIR": str(settings.mail_dir),
        "SMTP_URL": str(settings.smtp_url or ""),
        "SMTP_TIMEOUT": str(settings.smtp_timeout),
        "SMTP_CONNECTIONS": str(settings.smtp_connections),
        "NOTIFY_ON_ISSUE": str(settings.notify_on_issue),
        "LOG_FORMAT": "json",
        **environment,
    }
    with ExitStack() as stack:
        output = None if log is None else stack.enter_context(log.open("ab"))
        return await asyncio.create_subprocess_exec(
            sys.executable,
            *arguments,
            cwd=code,
            env=os.environ | given,
            stdout=output,
            stderr=output,
        )


async def kill(process: Process) -> None:
    """End a process as a power cut would."""
    process.send_signal(signal.SIGKILL)
    await process.wait()


async def until(condition: Callable[[], Awaitable[object]], seconds: float = 60) -> None:
    """Wait until a condition holds; fail after so many seconds."""
    async with asyncio.timeout(seconds):
        while not await condition():  # noqa: ASYNC110 - another process sets no event of ours
            await asyncio.sleep(0.05)


async def open_entries(connection: AsyncConnection, job: str | None = None) -> int:
    """Return how many entries of the outbox, of one job or of all, are not done."""
    statement = select(func.count()).where(OutboxEntry.done_at.is_(None))
    if job is not None:
        statement = statement.where(OutboxEntry.job == job)
    return (await connection.execute(statement)).scalar_one()
