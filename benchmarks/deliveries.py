"""How fast the worker sends notifications, into a mail server on loopback that takes everything."""

import asyncio
import sys

from sqlalchemy import select

from app.database.engine import Database
from app.deliveries.schedule import schedule_deliveries
from app.invoices.models import Invoice
from benchmarks.builds import ROOT
from benchmarks.console import Unusable
from benchmarks.importing import SHAPE
from benchmarks.loading import PREFIX, Databases
from benchmarks.results import Deliveries
from benchmarks.servers import Environment
from tests.support.settings import settings_of

MESSAGES = 300
_DATABASE = f"{PREFIX}deliveries"
_PATIENCE = 180
"""Seconds until every message must have arrived."""


async def measure(databases: Databases, environment: Environment) -> Deliveries:
    """Schedule notifications, start a worker, and time the arrivals."""
    await databases.make(SHAPE)
    url = await databases.clone(databases.name_of(SHAPE), _DATABASE)
    try:
        await _schedule(environment, url)
        return await _deliver(environment, url)
    finally:
        await databases.drop(_DATABASE)


async def _schedule(environment: Environment, url: str) -> None:
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


async def _deliver(environment: Environment, url: str) -> Deliveries:
    sink = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "benchmarks.sink", cwd=ROOT, stdout=asyncio.subprocess.PIPE
    )
    assert sink.stdout is not None
    try:
        port = int(await sink.stdout.readline())
        settings = environment.settings(url, SMTP_URL=f"smtp://127.0.0.1:{port}")
        async with (
            environment.process("worker", ["-m", "app", "worker"], settings),
            asyncio.timeout(_PATIENCE),
        ):
            arrivals = [float(await sink.stdout.readline()) for _ in range(MESSAGES)]
    except TimeoutError:
        raise Unusable(f"Not every notification arrived within {_PATIENCE} s.") from None
    finally:
        sink.kill()
        await sink.wait()
    return Deliveries(MESSAGES, arrivals[-1] - arrivals[0])
