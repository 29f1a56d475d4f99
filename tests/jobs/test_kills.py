"""Jobs that are killed at random points have the effect of one run."""

from random import Random

import pytest
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from app import clock
from app.billing.periods import Period
from app.deliveries.models import Delivery
from app.invoices.models import Invoice
from app.outbox.models import OutboxEntry
from app.settings import Settings
from tests.support.factories import Factories
from tests.support.worker import kill, open_entries, until, worker_process


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2))
async def test_a_close_survives_kills_at_random_points(
    make: Factories, connection: AsyncConnection, settings: Settings, seed: int
) -> None:
    random = Random(seed)
    settings = settings.model_copy(update={"job_lease": 1, "notify_on_issue": True})
    past = Period.containing(clock.today()).shifted(-1)
    made = {}
    for _ in range(60):
        invoice = await make.invoice(await make.customer(), past)
        await make.item(invoice)
        made[invoice.id] = str(invoice.uuid)

    async def a_little_more_is_done() -> bool:
        done = select(func.count()).select_from(OutboxEntry).where(OutboxEntry.done_at.is_not(None))
        return (await connection.execute(done)).scalar_one() >= target

    async def all_is_scheduled() -> bool:
        # A delivery whose worker was killed comes back after some minutes; that is its own test.
        closing = await open_entries(connection, "close_month")
        return closing + await open_entries(connection, "notify") == 0

    for round_ in range(5):
        target = 1 + round_ * 15 + random.randrange(15)
        async with worker_process(settings) as process:
            await until(a_little_more_is_done)
            await kill(process)
    async with worker_process(settings):
        await until(all_is_scheduled)

    states = select(Invoice.month, Invoice.state, func.count()).group_by(
        Invoice.month, Invoice.state
    )
    found = {tuple(row) for row in await connection.execute(states)}
    assert found == {(past.month, "created", 60), (past.shifted(1).month, "pending", 60)}
    notify = select(OutboxEntry.arguments).where(OutboxEntry.job == "notify")
    notified = [row.arguments["invoice"] for row in await connection.execute(notify)]
    assert sorted(notified) == sorted(made.values())
    deliveries = list(await connection.execute(select(Delivery.invoice_id, Delivery.state)))
    assert sorted(row.invoice_id for row in deliveries) == sorted(made)
