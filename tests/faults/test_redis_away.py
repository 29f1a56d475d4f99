"""Redis stops and returns while the API and the worker run; no change is lost."""

from contextlib import ExitStack
from pathlib import Path
from time import monotonic

import httpx
from pydantic_core import Url
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from app.billing.enums import DeliveryState, InvoiceState
from app.deliveries.models import Delivery
from app.local.embedded.valkey import EmbeddedValkey
from app.settings import Settings
from tests.support.factories import Factories, Row
from tests.support.server import serve
from tests.support.smtp import run_mail_server
from tests.support.worker import until, worker_here

MOST_SECONDS = 5.0
"""The most seconds of a request; without Redis a notification takes a fraction of one."""


async def test_notifications_are_scheduled_without_redis_and_sent_later(
    connection: AsyncConnection, make: Factories, settings: Settings, tmp_path: Path
) -> None:
    staff = await make.staff()
    invoices = [await _invoice(make) for _ in range(3)]

    async def is_sent(number: int) -> bool:
        sent = select(func.count()).where(Delivery.state == DeliveryState.SENT)
        return (await connection.execute(sent)).scalar_one() == number

    with ExitStack() as servers:
        server = servers.enter_context(EmbeddedValkey(tmp_path / "valkey"))
        async with run_mail_server() as sink:
            settings = settings.model_copy(
                update={"redis_url": server.url, "smtp_url": Url(sink.url)}
            )
            async with (
                serve(settings) as url,
                httpx.AsyncClient(base_url=url, headers=staff.headers, timeout=30) as client,
            ):
                async with worker_here(settings):
                    await _notify(client, invoices[0])
                    await until(lambda: is_sent(1))

                # Nobody is there: neither the queue nor a worker.
                servers.close()
                started = monotonic()
                await _notify(client, invoices[1])
                assert monotonic() - started < MOST_SECONDS
                ready = await client.get("/health/ready")
                assert (ready.status_code, ready.json()["redis"]) == (200, "unreachable")
                assert await is_sent(1)

                async with worker_here(settings):
                    await _notify(client, invoices[2])
                    servers.enter_context(EmbeddedValkey(tmp_path / "valkey"))
                    await until(lambda: is_sent(3))
            assert len(sink.mailbox) == 3
            assert len({mail.message["Message-ID"] for mail in sink.mailbox}) == 3


async def _invoice(make: Factories) -> Row:
    customer = await make.customer()
    await make.owner(customer)
    invoice = await make.invoice(customer, state=InvoiceState.CREATED)
    await make.item(invoice)
    return invoice


async def _notify(client: httpx.AsyncClient, invoice: Row) -> None:
    answer = await client.post(f"/api/invoices/{invoice.uuid}/send_notification/")
    assert answer.status_code == 200, answer.text
