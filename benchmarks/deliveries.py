"""How fast workers send notifications, into a mail server on loopback that takes everything.

A first mail of each invoice makes its documents, and is not timed. The timed ones bring the same
documents to their recipients again: once with a mail server that replies at once, and once with a
delay of each reply.
"""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Final

from sqlalchemy import insert, select

from app.database.engine import Database
from app.database.server_clock import database_now
from app.deliveries.schedule import schedule_deliveries
from app.invoices.models import Invoice
from app.jobs.registry import build_registry
from app.outbox.models import OutboxEntry
from benchmarks.builds import ROOT, THIS_BUILD, Build
from benchmarks.console import Unusable, progress
from benchmarks.importing import SHAPE
from benchmarks.loading import PREFIX, Databases
from benchmarks.results import DeliveryRound, Subject
from benchmarks.servers import Environment, cpu_seconds
from tests.support.settings import settings_of

MESSAGES: Final = 200
"""Their documents stay within the default of `DOCUMENT_CACHE_BYTES`."""
DELAYS: Final = (0.0, 0.03)
"""Seconds before each reply of the mail server."""
_PATIENCE: Final = 180
"""Seconds until every message must have arrived."""


@dataclass(frozen=True)
class _Side:
    """A build with a worker, a database and a mail server of its own."""

    subject: Subject
    environment: Environment
    url: str
    sink: asyncio.subprocess.Process
    worker: int
    """The id of the worker's process."""

    async def deliver(self, number: int, delay: float) -> DeliveryRound:
        """Schedule notifications and time their arrivals."""
        assert self.sink.stdin is not None
        assert self.sink.stdout is not None
        self.sink.stdin.write(f"{delay}\n".encode())
        await self.sink.stdin.drain()
        before = cpu_seconds(self.worker)
        await _schedule(self.environment, self.url)
        try:
            async with asyncio.timeout(_PATIENCE):
                arrivals = [float(await self.sink.stdout.readline()) for _ in range(MESSAGES)]
        except TimeoutError:
            raise Unusable(f"Not every notification arrived within {_PATIENCE} s.") from None
        cpu = cpu_seconds(self.worker) - before
        seconds = arrivals[-1] - arrivals[0]
        return DeliveryRound(self.subject, number, delay, MESSAGES, seconds, cpu)


async def measure(
    databases: Databases, environment: Environment, rounds: int, baseline: Build | None
) -> list[DeliveryRound]:
    """Time the deliveries of this build and, beside it, of another, in turn."""
    await databases.make(SHAPE)
    builds = {Subject.SERVICE: THIS_BUILD}
    if baseline is not None:
        builds[Subject.BASELINE] = baseline
    measured = []
    async with AsyncExitStack() as stack:
        sides = [
            await stack.enter_async_context(_side(databases, environment, subject, build))
            for subject, build in builds.items()
        ]
        for number in range(rounds):
            progress(f"  round {number + 1} of {rounds}: {MESSAGES} mails for each delay")
            for delay in DELAYS:
                for side in sides if number % 2 == 0 else reversed(sides):
                    measured.append(await side.deliver(number, delay))
    return measured


@asynccontextmanager
async def _side(
    databases: Databases, environment: Environment, subject: Subject, build: Build
) -> AsyncIterator[_Side]:
    """Start the worker of a build, and have it make the documents."""
    name = f"{PREFIX}deliveries_{subject}"
    url = await databases.clone(databases.name_of(SHAPE), name)
    sink = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "benchmarks.sink", cwd=ROOT,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        assert sink.stdout is not None
        port = int(await sink.stdout.readline())
        settings = environment.settings(
            url, SMTP_URL=f"smtp://127.0.0.1:{port}", QUEUE_NAME=name, WORKER_METRICS_PORT="0"
        )
        await _skip_schedule(environment, url)
        command = ["-m", "app", "worker"]
        async with environment.process(f"worker-{subject}", command, settings, build) as worker:
            side = _Side(subject, environment, url, sink, worker.pid)
            progress(f"  the documents of {MESSAGES} invoices, by {build.commit or 'this build'}")
            await side.deliver(0, 0)
            yield side
    finally:
        sink.kill()
        await sink.wait()
        await databases.drop(name)


async def _schedule(environment: Environment, url: str) -> None:
    """Schedule the notifications of the same invoices each time."""
    settings = settings_of(environment.settings(url))
    database = Database(settings)
    try:
        async with database.transaction() as connection:
            statement = (
                select(Invoice.id, Invoice.customer_id)
                .where(Invoice.customer_id > SHAPE.twenties, Invoice.state == "created")
                .order_by(Invoice.id)
                .limit(MESSAGES)
            )
            for invoice in (await connection.execute(statement)).all():
                await schedule_deliveries(
                    connection, settings, invoice_id=invoice.id, customer_id=invoice.customer_id
                )
    finally:
        await database.close()


async def _skip_schedule(environment: Environment, url: str) -> None:
    """Record the jobs of the schedule as done, so that none runs beside the deliveries."""
    settings = settings_of(environment.settings(url))
    database = Database(settings)
    now = database_now()
    rows = [
        {"job": name, "arguments": {}, "created_at": now, "due_at": now, "done_at": now}
        for name, job in build_registry(settings).items()
        if job.times
    ]
    try:
        async with database.transaction() as connection:
            await connection.execute(insert(OutboxEntry).values(rows))
    finally:
        await database.close()
