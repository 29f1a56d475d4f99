"""`send_notification`: the recorded deliveries, the allowed states, and the ignored body."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from app.billing.enums import InvoiceState
from app.deliveries.models import Delivery
from app.outbox.models import OutboxEntry
from app.settings import Settings
from tests.support.factories import Factories, Row

SCHEDULED = {"detail": "Invoice notification sending has been successfully scheduled."}
WRONG_STATE = ["Notification only for the created invoice can be sent."]


@pytest.fixture
async def invoice(make: Factories) -> Row:
    customer = await make.customer()
    for _ in range(2):
        await make.owner(customer)
    return await make.invoice(customer, state=InvoiceState.CREATED)


@pytest.fixture
async def headers(make: Factories) -> dict[str, str]:
    return (await make.staff()).headers


def path(invoice: Row) -> str:
    return f"/api/invoices/{invoice.uuid}/send_notification/"


async def deliveries(connection: AsyncConnection) -> list[str]:
    statement = select(Delivery.recipient).order_by(Delivery.recipient)
    return list((await connection.execute(statement)).scalars())


async def test_deliveries_are_recorded_with_their_jobs(
    client: httpx.AsyncClient, connection: AsyncConnection, invoice: Row, headers: dict[str, str]
) -> None:
    answer = await client.post(path(invoice), headers=headers)
    assert (answer.status_code, answer.json()) == (200, SCHEDULED)
    assert len(await deliveries(connection)) == 2
    jobs = (await connection.execute(select(OutboxEntry.job, OutboxEntry.arguments))).all()
    uuids = (await connection.execute(select(Delivery.uuid))).scalars()
    assert {job for job, _ in jobs} == {"deliver"}
    assert {arguments["delivery"] for _, arguments in jobs} == {str(uuid) for uuid in uuids}

    # Those are still under way.
    assert (await client.post(path(invoice), headers=headers)).json() == SCHEDULED
    assert len(await deliveries(connection)) == 2


async def test_the_worker_is_notified_after_the_commit(
    app: FastAPI,
    client: httpx.AsyncClient,
    connection: AsyncConnection,
    invoice: Row,
    headers: dict[str, str],
) -> None:
    committed: list[int] = []

    async def notify_worker() -> None:
        committed.append(len(await deliveries(connection)))

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(app.state.notifier, "notify_worker", notify_worker)
        await client.post(path(invoice), headers=headers)
    assert committed == [2]


@pytest.mark.parametrize("state", [s for s in InvoiceState if s is not InvoiceState.CREATED])
async def test_only_a_created_invoice_is_notified(
    client: httpx.AsyncClient,
    connection: AsyncConnection,
    make: Factories,
    headers: dict[str, str],
    state: InvoiceState,
) -> None:
    invoice = await make.invoice(await make.customer(), state=state)
    answer = await client.post(path(invoice), headers=headers)
    assert (answer.status_code, answer.json()) == (400, WRONG_STATE)
    assert await deliveries(connection) == []


@pytest.mark.parametrize(
    "body",
    [
        {"content": b"x", "headers": {"Content-Type": "text/plain"}},
        {"content": b"{bad", "headers": {"Content-Type": "application/json"}},
        {"content": b"x", "headers": {"Content-Type": "multipart/form-data"}},
        {"content": b"\xff" * 3_000_000},
        {"json": {"state": "paid"}},
    ],
)
async def test_a_body_is_ignored(
    client: httpx.AsyncClient,
    invoice: Row,
    headers: dict[str, str],
    body: dict[str, Any],
) -> None:
    answer = await client.post(
        path(invoice), **body | {"headers": headers | body.get("headers", {})}
    )
    assert (answer.status_code, answer.json()) == (200, SCHEDULED)


async def test_a_body_is_not_read(
    client: httpx.AsyncClient, invoice: Row, headers: dict[str, str]
) -> None:
    taken = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal taken
        while True:
            taken += 1
            yield b"x" * 65536

    answer = await client.post(path(invoice), headers=headers, content=endless())
    assert answer.json() == SCHEDULED
    assert taken <= 1


async def test_where_scheduling_fails_nothing_is_recorded(
    client: httpx.AsyncClient, connection: AsyncConnection, invoice: Row, headers: dict[str, str]
) -> None:
    await connection.execute(text("ALTER TABLE outbox RENAME TO outbox_away"))
    assert (await client.post(path(invoice), headers=headers)).status_code == 500
    assert await deliveries(connection) == []


async def test_an_invoice_paid_meanwhile_is_not_notified(
    client: httpx.AsyncClient,
    connection: AsyncConnection,
    settings: Settings,
    invoice: Row,
    headers: dict[str, str],
) -> None:
    from app.database.engine import Database

    paying = Database(settings)
    try:
        async with paying.transaction() as transaction:
            await transaction.execute(text("UPDATE invoices SET state = 'paid'"))
            asked = asyncio.create_task(client.post(path(invoice), headers=headers))
            done, _ = await asyncio.wait([asked], timeout=0.5)
            assert not done
        assert (await asked).json() == WRONG_STATE
    finally:
        await paying.close()
    assert await deliveries(connection) == []
