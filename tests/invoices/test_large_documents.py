"""Invoices of any size, and pages with them, are sent in bounded memory and hold nothing longer."""

import asyncio
import tracemalloc
from collections.abc import Sequence
from dataclasses import dataclass

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from app.api.caching import conditional_get
from app.billing.enums import InvoiceState
from app.billing.periods import Period
from app.invoices.queries.items import BATCH_SIZE
from app.invoices.schemas import INVOICE_FIELDS
from tests.support.factories import Factories, Row, UserRow
from tests.support.streams import add_items, parts_of

MANY = 3_000
"""Items of an invoice that is too large to be kept."""
MOST = 10_000
"""Items of an invoice that is far larger than the memory that a response takes."""
LIST = "/api/invoices/?page_size=5"


@dataclass
class Large:
    """A created invoice of many items, between two of few."""

    invoice: Row
    small: Row
    staff: UserRow
    connection: AsyncConnection

    @property
    def one(self) -> str:
        return f"/api/invoices/{self.invoice.uuid}/"

    async def call(self, app: FastAPI, what: str, until: int | None = None) -> Sequence[int]:
        """Ask for what has the large invoice in it; return the sizes of the parts sent."""
        if what != "paid":
            return await parts_of(
                app, LIST if what == "list" else self.one, self.staff, until=until
            )
        await self.connection.execute(text("UPDATE invoices SET state = 'created'"))
        return await parts_of(app, f"{self.one}paid/", self.staff, method="POST", until=until)


@pytest.fixture
async def large(make: Factories, connection: AsyncConnection) -> Large:
    customer = await make.customer()
    before, invoice, after = [
        await make.invoice(customer, Period(2026, month), InvoiceState.CREATED)
        for month in (9, 10, 11)
    ]
    await add_items(connection, [before, after], 3)
    await add_items(connection, [invoice], MANY)
    return Large(invoice, before, await make.staff(), connection)


@pytest.fixture
async def largest(large: Large) -> Large:
    await add_items(large.connection, [large.invoice], MOST - MANY)
    return large


WHATS = ("one", "list", "paid")


@pytest.mark.parametrize("what", WHATS)
async def test_it_is_sent_in_little_memory(app: FastAPI, largest: Large, what: str) -> None:
    # The memory of what the first request of a process loads is not the response's.
    await parts_of(app, f"/api/invoices/{largest.small.uuid}/", largest.staff)
    tracemalloc.start()
    sizes = await largest.call(app, what)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert sum(sizes) > 5_000_000
    assert max(sizes) < conditional_get.STREAM_ABOVE
    assert len(sizes) >= MOST / BATCH_SIZE
    assert peak < sum(sizes) / 2
    assert app.state.response_cache.size < conditional_get.STREAM_ABOVE


async def test_it_is_the_same_as_when_it_is_made_whole(
    client: httpx.AsyncClient, large: Large, monkeypatch: pytest.MonkeyPatch
) -> None:
    headers = large.staff.headers
    urls = (large.one, LIST, f"{large.one}?field=items&field=uuid", f"{large.one}items/")
    streamed = [await client.get(url, headers=headers) for url in urls]
    with monkeypatch.context() as patch:
        patch.setattr(conditional_get, "STREAM_ABOVE", 10**9)
        whole = [await client.get(url, headers=headers) for url in urls]
    assert [each.content for each in streamed] == [each.content for each in whole]
    assert [each.headers["etag"] for each in streamed] == [each.headers["etag"] for each in whole]
    # Large enough to be streamed, which has no length at its start.
    assert not any("content-length" in each.headers for each in streamed)
    assert all("content-length" in each.headers for each in whole)

    one, page, _, items = (each.json() for each in streamed)
    assert page[1] == one
    assert one["items"] == items
    assert [item["name"] for item in items] == [f"Item {n + 1:06}" for n in range(MANY)]
    others = [field for field in INVOICE_FIELDS if field != "items"]
    light = await client.get(large.one, headers=headers, params={"field": others})
    assert light.json() == {field: one[field] for field in one if field != "items"}
    assert list(one) == [field for field in INVOICE_FIELDS if field in one]
    paid = await client.post(f"{large.one}paid/", headers=headers)
    assert "content-length" not in paid.headers
    assert paid.json() == one | {"state": "paid"}


@pytest.mark.parametrize("what", WHATS)
async def test_a_client_that_goes_away_frees_all_that_it_held(
    app: FastAPI, large: Large, what: str
) -> None:
    pool = app.state.database.engine.pool
    for _ in range(2 * app.state.settings.database_pool_size):
        sizes = await large.call(app, what, until=2)
        assert 2 <= len(sizes) < 10
    assert pool.checkedout() == 0
    # Each of the places for streams is free.
    at_once = app.state.settings.database_pool_size // 2
    streams = [large.call(app, "one", until=20) for _ in range(at_once)]
    async with asyncio.timeout(60):
        assert min(map(len, await asyncio.gather(*streams))) >= 20


async def test_a_large_page_that_is_kept_holds_no_connection(
    app: FastAPI,
    client: httpx.AsyncClient,
    make: Factories,
    connection: AsyncConnection,
    statements: list[str],
) -> None:
    url = "/api/invoices/?page_size=300"
    customers = [await make.customer() for _ in range(25)]
    invoices = [
        await make.invoice(customer, Period(2026, month))
        for customer in customers
        for month in range(1, 13)
    ]
    await add_items(connection, invoices, 20)
    staff = await make.staff()
    made = await client.get(url, headers=staff.headers)
    assert len(made.json()) == 300
    assert len(made.content) > conditional_get.STREAM_ABOVE
    statements.clear()
    slow = [asyncio.create_task(parts_of(app, url, staff, reading=2)) for _ in range(8)]
    try:
        kept = await client.get(url, headers=staff.headers)
        assert kept.content == made.content
        assert "content-length" not in kept.headers
        pool = app.state.database.engine.pool
        async with asyncio.timeout(60):
            while sum("invoices" in each for each in statements) < 9 or pool.checkedout():  # noqa: ASYNC110
                await asyncio.sleep(0.01)  # no event shows the end of the last reader
        assert not any(task.done() for task in slow)  # they are amid the answer
        assert not any("invoice_items" in statement for statement in statements)
    finally:
        for task in slow:
            task.cancel()
        await asyncio.wait(slow)
