"""The items of one invoice: order, filters, and streaming in bounded memory."""

import asyncio
import tracemalloc
from typing import Any
from uuid import uuid4

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy.ext.asyncio import AsyncConnection

from app.api import streaming
from app.invoices.queries.items import BATCH_SIZE
from app.main import create_app
from app.settings import Settings
from tests.support.clients import client_of
from tests.support.factories import Factories, Row
from tests.support.streams import add_items, parts_of


class Shop:
    """An invoice with items of two offerings of two providers, and some without any."""

    def __init__(self, make: Factories, client: httpx.AsyncClient) -> None:
        self._make = make
        self._client = client

    async def stock(self) -> None:
        make = self._make
        self.staff = await make.staff()
        customer = await make.customer()
        self.invoice = await make.invoice(customer)
        self.zoo = await make.customer(name="Zoo")
        self.ark = await make.customer(name="ark")
        self.provider = await make.service_provider(self.zoo)
        self.project = await make.project(customer, name="P")
        self.cats = await make.offering(self.zoo)
        self.dogs = await make.offering(self.ark)
        self.cat = await make.resource(self.project, self.cats, name="Tom_cat 100%")
        self.dog = await make.resource(self.project, self.dogs, name="rexÄ")
        await make.item(
            self.invoice, name="a", resource_id=self.cat.id, project_id=self.project.id,
            project_name="P", offering_id=self.dogs.id,
        )  # fmt: skip
        await make.item(self.invoice, name="b", resource_id=self.dog.id, project_name="A")
        self.elsewhere = uuid4()
        await make.item(
            self.invoice, name="c", offering_id=self.dogs.id, project_uuid=self.elsewhere
        )
        await make.item(self.invoice, "-1", name="D", credit=True, project_name="a")
        await make.item(self.invoice, "0", name="free")

    async def get(self, query: str = "") -> httpx.Response:
        url = f"/api/invoices/{self.invoice.uuid}/items/?{query}"
        return await self._client.get(url, headers=self.staff.headers)

    async def names(self, query: str = "") -> str:
        answer = await self.get(query)
        assert answer.status_code == 200, answer.text
        return "".join(item["name"] for item in answer.json())


@pytest.fixture
async def shop(make: Factories, client: httpx.AsyncClient) -> Shop:
    shop = Shop(make, client)
    await shop.stock()
    return shop


async def test_orders_and_filters(shop: Shop) -> None:
    cases = {
        "": "cbaD",  # by stored project name: "", "A", "P", "a"
        "o=": "cbaD",
        "o=project_name": "baDc",
        "o=-project_name": "Dabc",
        "o=name": "Dabc",
        "o=-name": "cbaD",
        "o=resource_name": "abcD",
        "o=-resource_name": "bacD",
        "o=provider_name": "acbD",  # of the resource's offering before the item's own
        "o=-provider_name": "cbaD",
        "o=name&o=-name": "cbaD",
        "o=%20-name%20": "cbaD",
        "o=%20": "cbaD",
        "conceal_compensation_items=true": "cba",
        "conceal_compensation_items=0": "cbaD",
        "query=REX": "b",
        "query=rex%C3%A4": "b",
        "query=_cat": "a",
        "query=t_m": "",
        "query=0%25": "a",
        "query=%25": "a",
        "query=%5C": "",
        "query=": "cbaD",
        f"project_uuid={shop.project.uuid}": "a",
        f"project_uuid={shop.elsewhere.hex}": "c",
        f"offering_uuid={shop.cats.uuid.hex.upper()}": "a",
        f"offering_uuid={shop.dogs.uuid}": "cb",
        f"offering_uuid={uuid4()}": "",
        f"provider_uuid={shop.provider.uuid}": "a",
        f"provider_uuid={shop.zoo.uuid}": "a",
        f"provider_uuid={shop.ark.uuid}&o=-name": "cb",
        "state=pending&year=2026": "cbaD",
    }
    assert {query: await shop.names(query) for query in cases} == cases


@pytest.mark.parametrize("name", ["offering_name", "plan_name", "service_provider_name"])
async def test_items_are_ordered_by_names_in_their_details(
    name: str, make: Factories, client: httpx.AsyncClient
) -> None:
    """The web interface of Waldur shows these names and orders by them; empty ones come last."""
    invoice = await make.invoice(await make.customer())
    details: dict[str, dict[str, Any]] = {
        "a": {name: "b"},
        "b": {},
        "c": {name: "Z"},
        "d": {name: ""},
        "e": {name: "b"},
        "f": {name: None},
        "g": {name: "Ä"},
    }
    for item, shown in details.items():
        await make.item(invoice, name=item, details=shown)
    headers = (await make.staff()).headers

    async def names(order: str) -> str:
        url = f"/api/invoices/{invoice.uuid}/items/?o={order}"
        return "".join(item["name"] for item in (await client.get(url, headers=headers)).json())

    assert await names(name) == "caegbdf"  # in code point order, ties as inside an invoice
    assert await names(f"-{name}") == "gaecbdf"


async def test_items_are_those_of_the_invoice(shop: Shop, client: httpx.AsyncClient) -> None:
    whole = await client.get(
        f"/api/invoices/{shop.invoice.uuid}/?field=items", headers=shop.staff.headers
    )
    answer = await shop.get()
    assert answer.json() == whole.json()["items"]
    assert answer.headers["content-type"] == "application/json"
    assert "x-result-count" not in answer.headers


async def test_wrong_parameters(shop: Shop) -> None:
    answer = await shop.get(
        "o=price&query=%00&project_uuid=1&conceal_compensation_items=maybe&state=x"
    )
    assert answer.status_code == 400
    invalid = "Select a valid choice. {} is not one of the available choices."
    assert answer.json() == {
        "o": [invalid.format("price")],
        "query": ["Null characters are not allowed."],
        "project_uuid": ["Enter a valid UUID."],
        "conceal_compensation_items": ["Must be a valid boolean."],
        "state": [invalid.format("x")],
    }
    answer = await shop.get("state=paid")
    assert (answer.status_code, answer.json()) == (
        404, {"detail": "No Invoice matches the given query."},
    )  # fmt: skip


async def test_head_reads_no_items(
    shop: Shop, client: httpx.AsyncClient, statements: list[str]
) -> None:
    statements.clear()
    url = f"/api/invoices/{shop.invoice.uuid}/items/"
    answer = await client.head(url, headers=shop.staff.headers)
    assert (answer.status_code, answer.content) == (200, b"")
    assert "content-type" not in answer.headers
    assert not any("invoice_items" in text for text in statements)


async def test_an_invoice_without_items(make: Factories, client: httpx.AsyncClient) -> None:
    invoice = await make.invoice(await make.customer())
    staff = await make.staff()
    answer = await client.get(f"/api/invoices/{invoice.uuid}/items/", headers=staff.headers)
    assert answer.content == b"[]"


MANY = 10_000


@pytest.fixture
async def large(make: Factories, connection: AsyncConnection) -> Row:
    invoice = await make.invoice(await make.customer())
    await add_items(connection, [invoice], MANY)
    return invoice


async def test_many_items_in_little_memory(
    app: FastAPI, make: Factories, large: Row, statements: list[str]
) -> None:
    user = await make.staff()
    tracemalloc.start()
    sizes = await parts_of(app, f"/api/invoices/{large.uuid}/items/", user)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert sum(sizes) > 5_000_000
    assert max(sizes) < 1_000_000
    assert len(sizes) >= MANY / BATCH_SIZE
    assert peak < sum(sizes) / 2
    # The caller, the invoice; and in a snapshot: which, its items by a cursor.
    assert len(statements) == 4


async def test_many_items_are_whole(app: FastAPI, make: Factories, large: Row) -> None:
    user = await make.staff()
    async with client_of(app) as client:
        answer = await client.get(f"/api/invoices/{large.uuid}/items/", headers=user.headers)
    names = [item["name"] for item in answer.json()]
    assert names == [f"Item {number:06}" for number in range(1, MANY + 1)]


async def test_a_client_that_goes_away_frees_its_connection(
    app: FastAPI, make: Factories, large: Row
) -> None:
    user = await make.staff()
    for _ in range(2 * app.state.settings.database_pool_size):
        sizes = await parts_of(app, f"/api/invoices/{large.uuid}/items/", user, until=2)
        assert len(sizes) < 10
    assert app.state.database.engine.pool.checkedout() == 0
    async with client_of(app) as client:
        assert (await client.get("/api/invoices/", headers=user.headers)).is_success


async def test_a_client_that_stops_reading_frees_its_connection(
    app: FastAPI, make: Factories, large: Row, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streaming, "CLIENT_TIMEOUT", 0.2)
    user = await make.staff()
    async with asyncio.timeout(60):
        with pytest.raises(streaming.ClientTooSlow):
            await parts_of(app, f"/api/invoices/{large.uuid}/items/", user, reading=2)
    assert app.state.database.engine.pool.checkedout() == 0


async def test_clients_that_stop_reading_leave_connections_to_others(
    settings: Settings, make: Factories, large: Row
) -> None:
    """As many such clients as connections: others are served, and one more stream is refused."""
    user = await make.staff()
    app = create_app(
        settings.model_copy(update={"database_pool_size": 4, "database_pool_timeout": 1})
    )
    url = f"/api/invoices/{large.uuid}/"
    async with app.router.lifespan_context(app), client_of(app, headers=user.headers) as client:
        slow = [
            asyncio.create_task(
                parts_of(app, f"/api/invoices/{large.uuid}/items/", user, reading=2)
            )
            for _ in range(4)
        ]
        async with asyncio.timeout(60):
            while app.state.database.engine.pool.checkedout() < 2:  # noqa: ASYNC110 - it sets none
                await asyncio.sleep(0.01)
        for _ in range(5):
            assert (await client.get(f"{url}?field=uuid")).status_code == 200
        refused = await client.get(f"{url}items/")
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "5")
        for task in slow:
            task.cancel()
        await asyncio.wait(slow)
        assert (await client.get(f"{url}items/?page_size=1")).status_code == 200
        assert app.state.database.engine.pool.checkedout() == 0


@pytest.mark.parametrize(
    "field", ["resource_uuid", "plan_uuid", "offering_uuid", "service_provider_uuid"]
)
@pytest.mark.parametrize("empty", [None, ""])
async def test_a_documented_uuid_without_a_value_is_left_out(
    client: httpx.AsyncClient, make: Factories, field: str, empty: str | None
) -> None:
    """Clients that parse UUIDs would fail; what is not documented stays as it is."""
    staff = await make.staff()
    invoice = await make.invoice(await make.customer())
    own = {"plan_name": "", "own_uuid": None, "": ""}
    await make.item(invoice, details={**own, field: empty})
    path = f"/api/invoices/{invoice.uuid}/"
    client.headers.update(staff.headers)
    ((item,), whole, (listed,)) = [
        (await client.get(each)).json() for each in (f"{path}items/", path, "/api/invoices/")
    ]
    assert item["details"] == own
    assert whole["items"] == listed["items"] == [item]
