"""The database hangs: requests are answered in time, and succeed again afterwards."""

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy.ext.asyncio import AsyncConnection

from app.main import create_app
from app.settings import Settings
from tests.support.clients import client_of
from tests.support.factories import Factories, UserRow
from tests.support.proxy import Proxy, postgresql_proxy
from tests.support.streams import add_items, parts_of

PATIENCE = 1
MOST_SECONDS = 7.0
"""Less than the default of the limit, which is eight."""


@dataclass
class Distant:
    """The API, with a database that can stand still."""

    app: FastAPI
    database: Proxy


@pytest.fixture
async def distant(settings: Settings) -> AsyncIterator[Distant]:
    async with postgresql_proxy(settings.database_url) as proxy:
        changed = {"database_url": proxy.url, "database_request_timeout": PATIENCE}
        app = create_app(settings.model_copy(update=changed))
        async with app.router.lifespan_context(app):
            yield Distant(app, proxy)
            proxy.forwards_replies.set()


async def test_requests_are_answered_while_the_database_hangs(
    distant: Distant, make: Factories
) -> None:
    headers = (await make.staff()).headers
    invoice = await make.payable_invoice()
    one = f"/api/invoices/{invoice.uuid}/"
    async with client_of(distant.app, headers=headers) as client:
        assert (await client.get(one)).status_code == 200
        distant.database.forwards_replies.clear()
        started = time.monotonic()
        # More than there are connections: on those that are there, on new ones, and without any.
        answers = await asyncio.gather(
            *(client.get(path) for path in (one, "/api/invoices/", f"{one}items/") * 3),
            pay(client, one, "2026-11-04"),
            pay(client, one, "2026-11-05"),
        )
        assert time.monotonic() - started < MOST_SECONDS
        assert [answer.status_code for answer in answers] == [503] * len(answers)
        assert all(int(answer.headers["Retry-After"]) > 0 for answer in answers)
        distant.database.forwards_replies.set()
        assert (await client.get(one)).status_code == 200
        assert distant.app.state.database.engine.pool.checkedout() == 0


async def pay(client: httpx.AsyncClient, one: str, day: str) -> httpx.Response:
    return await client.post(
        f"{one}paid/", data={"date": day}, files={"proof": ("p.pdf", b"%PDF-1.7")}
    )


async def test_reading_a_response_may_exceed_the_deadline(
    distant: Distant, make: Factories, connection: AsyncConnection
) -> None:
    staff: UserRow = await make.staff()
    invoice = await make.invoice(await make.customer())
    await add_items(connection, [invoice], 4_000)
    path = f"/api/invoices/{invoice.uuid}/"
    whole = await parts_of(distant.app, path, staff)
    assert len(whole) > 2
    assert sum(await parts_of(distant.app, path, staff, pause=1.5 * PATIENCE)) == sum(whole)
