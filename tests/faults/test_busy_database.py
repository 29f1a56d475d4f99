"""More requests than connections, or locked rows: requests are answered and do not hang."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from app.database.engine import Database
from app.main import create_app
from app.settings import Settings
from tests.support.clients import client_of
from tests.support.factories import Factories, Row

MANY = 60
ACTIONS = {
    "paid": {"date": "2026-11-05"},
    "set_backend_id": {"backend_id": "B-1"},
    "set_payment_url": {"payment_url": "https://pay.example/1"},
    "set_reference_number": {"reference_number": "R-1"},
}


@pytest.fixture
async def narrow(settings: Settings) -> AsyncIterator[FastAPI]:
    """The API on a pool of two; one waits a second for a connection, or for a lock."""
    app = create_app(
        settings.model_copy(
            update={
                "database_pool_size": 2,
                "database_pool_timeout": 1,
                "database_lock_timeout": 1,
            }
        )
    )
    async with app.router.lifespan_context(app):
        yield app


@pytest.fixture
async def invoice(make: Factories) -> Row:
    return await make.payable_invoice("10")


def unavailable(answer: httpx.Response) -> bool:
    return answer.status_code == 503 and int(answer.headers["Retry-After"]) > 0


async def test_without_a_free_connection_requests_are_refused_in_time_and_then_served(
    narrow: FastAPI, make: Factories, invoice: Row
) -> None:
    headers = (await make.staff()).headers
    one = f"/api/invoices/{invoice.uuid}/"
    reads = ("/api/invoices/", one, f"{one}items/", f"{one}stats/", "/api/invoices/growth/")
    async with client_of(narrow, headers=headers) as client:
        database: Database = narrow.state.database
        async with AsyncExitStack() as taken:
            for _ in range(2):
                await taken.enter_async_context(database.transaction())
            started = time.monotonic()
            answers = await asyncio.gather(
                *(client.get(path) for path in reads),
                *(client.post(f"{one}{name}/", json=body) for name, body in ACTIONS.items()),
            )
            waited = time.monotonic() - started
        assert all(map(unavailable, answers)), [answer.status_code for answer in answers]
        assert 1 <= waited < 5
        answers = await asyncio.gather(*(client.get(path) for path in reads))
        assert [answer.status_code for answer in answers] == [200] * len(reads)


async def test_many_clients_on_few_connections_are_all_served(
    settings: Settings, make: Factories, invoice: Row
) -> None:
    headers = (await make.staff()).headers
    one = f"/api/invoices/{invoice.uuid}/"
    app = create_app(
        settings.model_copy(update={"database_pool_size": 2, "database_pool_timeout": 60})
    )
    async with app.router.lifespan_context(app), client_of(app, headers=headers) as client:
        client.timeout = httpx.Timeout(120)
        requests = [
            client.post(f"{one}set_backend_id/", json={"backend_id": str(number)})
            if number % 6 == 5
            else client.get(f"{one}items/" if number % 2 else "/api/invoices/")
            for number in range(MANY)
        ]
        answers = await asyncio.gather(*requests)
        assert Counter(answer.status_code for answer in answers) == {200: MANY}
        listed = [answer.json() for answer in answers if answer.url.path.endswith("/items/")]
        assert [len(items) for items in listed] == [1] * 20
        assert app.state.database.engine.pool.checkedout() == 0


@pytest.mark.parametrize("action", ACTIONS)
async def test_a_locked_invoice_is_not_waited_for_long(  # noqa: PLR0917 - pytest's fixtures
    action: str,
    narrow: FastAPI,
    database: Database,
    connection: AsyncConnection,
    make: Factories,
    invoice: Row,
) -> None:
    headers = (await make.staff()).headers
    path = f"/api/invoices/{invoice.uuid}/{action}/"
    row = text("SELECT state, backend_id, payment_url, reference_number FROM invoices")
    before = (await connection.execute(row)).one()
    async with client_of(narrow, headers=headers) as client:
        async with database.transaction() as holding:
            await holding.execute(text("SELECT 1 FROM invoices FOR UPDATE"))
            started = time.monotonic()
            assert unavailable(await client.post(path, json=ACTIONS[action]))
            assert 1 <= time.monotonic() - started < 5
        assert (await connection.execute(row)).one() == before
        assert (await client.post(path, json=ACTIONS[action])).status_code == 200
        assert (await connection.execute(row)).one() != before
