"""Workers that are killed while they send, and several that send at the same time."""

import asyncio
from datetime import timedelta

from pydantic_core import Url
from sqlalchemy import func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from app import clock
from app.billing.enums import DeliveryState, InvoiceState
from app.deliveries.models import Delivery
from app.outbox.models import OutboxEntry
from app.settings import Settings
from tests.support.deliveries import schedule_invoice
from tests.support.factories import Factories
from tests.support.smtp import Fault, Stage, run_mail_server
from tests.support.worker import kill, until, worker_here, worker_process

RECIPIENTS = 20
PATIENCE = 60
SOON = timedelta(seconds=5)
"""Seconds that processes get to start and work, on a machine that is busy with other tests."""
_AT_ONCE = 8
"""Mails that a worker sends at once."""


async def _schedule(
    connection: AsyncConnection, make: Factories, settings: Settings, recipients: int
) -> list[str]:
    """Record deliveries of one invoice; return their Message-IDs."""
    customer = await make.customer()
    for number in range(recipients):
        await make.owner(customer, email=f"owner-{number}@example.com")
    invoice = await make.invoice(customer, state=InvoiceState.CREATED)
    await make.item(invoice)
    await schedule_invoice(connection, settings, invoice)
    return list((await connection.execute(select(Delivery.message_id))).scalars())


def _to(settings: Settings, url: str) -> Settings:
    changes = {
        "smtp_url": Url(url), "smtp_timeout": 20, "smtp_connections": _AT_ONCE, "job_lease": 1,
    }  # fmt: skip
    return settings.model_copy(update=changes)


async def _number(connection: AsyncConnection, state: DeliveryState) -> int:
    statement = select(func.count()).where(Delivery.state == state)
    return (await connection.execute(statement)).scalar_one()


async def test_the_delivery_of_a_killed_worker_is_taken_over_after_its_lease(
    connection: AsyncConnection, make: Factories, settings: Settings
) -> None:
    (message_id,) = await _schedule(connection, make, settings, 1)
    async with (
        run_mail_server(Fault(Stage.ACCEPTED)) as faulty,
        worker_process(_to(settings, faulty.url)) as process,
    ):
        await asyncio.wait_for(faulty.arrival.wait(), PATIENCE)
        await kill(process)

    async def waits_for_the_end_of_the_claim() -> bool:
        due = select(OutboxEntry.due_at).where(OutboxEntry.job == "deliver").scalar_subquery()
        # The rest of the claim is read, and the job put off by it, in two statements.
        statement = select(due.between(Delivery.next_attempt_at, Delivery.next_attempt_at + SOON))
        return (await connection.execute(statement)).scalar_one()

    async def is_sent() -> bool:
        return await _number(connection, DeliveryState.SENT) == 1

    async with run_mail_server() as sink, worker_here(_to(settings, sink.url)):
        await until(waits_for_the_end_of_the_claim)
        assert await _number(connection, DeliveryState.SENDING) == 1
        assert sink.sessions == 0
        # The first worker's time is over.
        over = clock.now() - timedelta(seconds=1)
        await connection.execute(update(Delivery).values(next_attempt_at=over))
        await connection.execute(
            update(OutboxEntry).where(OutboxEntry.job == "deliver").values(due_at=over)
        )
        await until(is_sent)
    assert [mail.message["Message-ID"] for mail in sink.mailbox] == [message_id]


async def test_several_workers_send_each_delivery_once(
    connection: AsyncConnection, make: Factories, settings: Settings
) -> None:
    message_ids = await _schedule(connection, make, settings, RECIPIENTS)

    async def all_are_sent() -> bool:
        return await _number(connection, DeliveryState.SENT) == RECIPIENTS

    async with run_mail_server() as sink:
        # Slower than a job's lease, so that each worker is tempted to take over the other's.
        sink.delay = 1.5
        to_sink = _to(settings, sink.url)
        async with worker_process(to_sink), worker_here(to_sink):
            await until(all_are_sent)
    assert sorted(mail.message["Message-ID"] for mail in sink.mailbox) == sorted(message_ids)
    assert len({tuple(mail.recipients) for mail in sink.mailbox}) == RECIPIENTS


async def test_a_repeatedly_killed_worker_loses_no_delivery(
    connection: AsyncConnection, make: Factories, settings: Settings
) -> None:
    message_ids = await _schedule(connection, make, settings, RECIPIENTS)

    async def all_are_sent() -> bool:
        return await _number(connection, DeliveryState.SENT) == RECIPIENTS

    async with run_mail_server() as sink:
        sink.delay = 0.2
        to_sink = _to(settings, sink.url)
        for sent in (1, 6):
            async with worker_process(to_sink) as process:

                async def some_are_sent(number: int = sent) -> bool:
                    return len(sink.mailbox) >= number

                await until(some_are_sent)
                await kill(process)
        over = clock.now() - timedelta(seconds=1)
        await connection.execute(
            update(Delivery)
            .where(Delivery.state == DeliveryState.SENDING)
            .values(next_attempt_at=over)
        )
        await connection.execute(
            update(OutboxEntry).where(OutboxEntry.done_at.is_(None)).values(due_at=over)
        )
        async with worker_here(to_sink):
            await until(all_are_sent)
    arrived = [mail.message["Message-ID"] for mail in sink.mailbox]
    assert set(arrived) == set(message_ids)
    # Only what was on its way at one of the two kills may have come twice, as itself.
    assert len(arrived) <= RECIPIENTS + 2 * _AT_ONCE
