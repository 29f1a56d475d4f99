"""The database restarts under load: requests fail with 503 and then succeed again."""

import asyncio
import os
from collections import Counter
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from uuid import UUID

import httpx
import pytest
from sqlalchemy import func, select

from app.billing.enums import InvoiceState
from app.database.engine import Database
from app.invoices.models import Invoice
from app.local.embedded.postgresql import EmbeddedPostgresql
from app.payments.models import Payment
from app.settings import DatabaseSettings
from tests.support.databases import migrate
from tests.support.factories import Factories
from tests.support.server import serve
from tests.support.settings import settings_of

pytestmark = pytest.mark.usefixtures("child_processes", "redis_server")

INVOICES = 120
PATIENCE = 60.0


@dataclass
class Load:
    """Requests sent without pause until they are stopped, and how they were answered."""

    client: httpx.AsyncClient
    payable: list[UUID]
    answers: Counter[int] = field(default_factory=Counter)
    acknowledged: set[UUID] = field(default_factory=set)
    stopping: bool = False
    answered: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def read(self) -> None:
        """List invoices over and over."""
        while not self.stopping:
            answer = await self.client.get("/api/invoices/", params={"page_size": 5})
            await self.count(answer.status_code)

    async def pay(self) -> None:
        """Pay one invoice after the other, each until it is settled."""
        while self.payable and not self.stopping:
            uuid = self.payable.pop()
            status = 503
            while status == 503 and not self.stopping:
                answer = await self.client.post(
                    f"/api/invoices/{uuid}/paid/", json={"date": "2026-11-05"}
                )
                status = answer.status_code
                await self.count(status)
                if status == 503:
                    assert answer.headers["Retry-After"]
                    await asyncio.sleep(0.02)
            # 409: the change was committed, but its answer was lost with the connection.
            if status in (200, 409):
                self.acknowledged.add(uuid)
            await asyncio.sleep(0.02)

    async def count(self, status: int) -> None:
        """Count an answer."""
        async with self.answered:
            self.answers[status] += 1
            self.answered.notify_all()

    async def until(self, status: int, more_than: int) -> None:
        """Wait until more than that many answers had the status."""
        async with asyncio.timeout(PATIENCE), self.answered:
            await self.answered.wait_for(lambda: self.answers[status] > more_than)


async def test_requests_fail_with_503_and_recover(tmp_path: Path) -> None:
    place = tmp_path / "postgresql"
    postgresql = EmbeddedPostgresql(place)
    postgresql.__enter__()
    try:
        settings = DatabaseSettings(database_url=postgresql.url)
        await asyncio.to_thread(migrate, settings.database_url)
        database = Database(settings)
        async with database.reading() as connection:
            make = Factories(connection)
            staff = await make.staff()
            payable = []
            for _ in range(INVOICES):
                invoice = await make.payable_invoice("10")
                payable.append(invoice.uuid)
        await database.close()

        environment = {
            "DATABASE_URL": postgresql.url,
            "REDIS_URL": os.environ["REDIS_URL"],
            "PROOF_DIR": str(tmp_path / "proofs"),
            "MAIL_DIR": str(tmp_path / "mail"),
        }
        async with (
            serve(settings_of(environment)) as url,
            httpx.AsyncClient(base_url=url, headers=staff.headers, timeout=PATIENCE) as client,
        ):
            load = Load(client, payable)
            async with asyncio.TaskGroup() as tasks:
                for _ in range(4):
                    tasks.create_task(load.read())
                for _ in range(2):
                    tasks.create_task(load.pay())
                await load.until(200, more_than=20)
                await asyncio.to_thread(postgresql.__exit__, None, None, None)
                await load.until(503, more_than=10)
                postgresql = EmbeddedPostgresql(place)
                await asyncio.to_thread(postgresql.__enter__)
                await load.until(200, more_than=load.answers[200] + 20)
                load.stopping = True
            assert set(load.answers) <= {200, 409, 503}, load.answers
            assert load.acknowledged
        await nothing_half_written(postgresql.url, load.acknowledged)
    finally:
        postgresql.__exit__(None, None, None)


async def nothing_half_written(url: str, acknowledged: set[UUID]) -> None:
    """A paid invoice has just one payment, an unpaid one none; what was answered stays."""
    database = Database(DatabaseSettings(database_url=url))
    async with database.reading() as connection:
        rows = (
            await connection.execute(
                select(Invoice.uuid, Invoice.state, func.count(Payment.id))
                .outerjoin(Payment, Payment.invoice_id == Invoice.id)
                .group_by(Invoice.id)
            )
        ).all()
        dates = (await connection.execute(select(Payment.date_of_payment))).scalars().all()
    await database.close()
    for uuid, state, payments in rows:
        assert payments == (1 if state == InvoiceState.PAID else 0), uuid
        assert uuid not in acknowledged or state == InvoiceState.PAID
    assert set(dates) == {date(2026, 11, 5)}
