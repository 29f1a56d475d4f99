"""A cached response is served only while it is true: for each input, the response changes."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import uuid4

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from app.api.caching.response_cache import ResponseCache
from app.billing.enums import BillingType, InvoiceState
from app.billing.periods import Period
from app.database.engine import Database
from app.main import create_app
from app.settings import IssuerDetails, Settings
from tests.support.clients import client_of
from tests.support.factories import Factories, Row, UserRow


class Shown:
    """An invoice that shows something of every record that an invoice can refer to."""

    def __init__(self, make: Factories, client: httpx.AsyncClient) -> None:
        self._make = make
        self._client = client

    async def build(self) -> None:
        make = self._make
        self.staff: UserRow = await make.staff()
        self.customer = await make.customer(name="Before", address="1 Street")
        seller = await make.customer(name="Seller")
        self.provider = await make.service_provider(seller)
        self.category = await make.category()
        self.offering = await make.offering(seller, category_id=self.category.id)
        component = await make.component(self.offering)
        self.other_component = await make.component(
            self.offering, billing_type=BillingType.ONE_TIME
        )
        plan = await make.plan(self.offering)
        self.plan_component = await make.plan_component(plan, component)
        self.component = component
        self.project = await make.project(self.customer, name="Project")
        self.resource = await make.resource(self.project, self.offering, name="vm")
        self.invoice = await make.invoice(self.customer, Period(2026, 10), InvoiceState.CREATED)
        self.item: Row = await make.item(
            self.invoice, "3.5", project_id=self.project.id, resource_id=self.resource.id,
            plan_component_id=self.plan_component.id, details={"a": 1},
        )  # fmt: skip
        self.url = f"/api/invoices/{self.invoice.uuid}/"

    async def answers(self) -> dict[str, httpx.Response]:
        urls = {"list": "/api/invoices/", "one": self.url, "items": f"{self.url}items/"}
        urls |= {"stats": f"{self.url}stats/", "light": "/api/invoices/?field=state&field=customer"}
        found = {}
        for name, url in urls.items():
            found[name] = await self._client.get(url, headers=self.staff.headers)
            assert found[name].status_code == 200
        return found


@pytest.fixture
async def shown(make: Factories, client: httpx.AsyncClient) -> Shown:
    shown = Shown(make, client)
    await shown.build()
    return shown


WHOLE = {"list", "one"}
ITEMS = WHOLE | {"items"}

INPUTS: list[tuple[str, set[str]]] = [
    ("UPDATE invoices SET number = 7 WHERE id = {invoice}", WHOLE),
    ("UPDATE invoices SET uuid = gen_random_uuid() WHERE id = {invoice}", {"list"}),
    ("UPDATE invoices SET state = 'paid' WHERE id = {invoice}", WHOLE | {"light"}),
    ("UPDATE invoices SET year = 2025, month = 3 WHERE id = {invoice}", WHOLE),
    ("UPDATE invoices SET tax_percent = 7.5 WHERE id = {invoice}", ITEMS | {"stats"}),
    ("UPDATE invoices SET invoice_date = '2026-11-05' WHERE id = {invoice}", WHOLE),
    ("UPDATE invoices SET due_date = '2026-12-24' WHERE id = {invoice}", WHOLE),
    ("UPDATE invoices SET backend_id = 'x' WHERE id = {invoice}", WHOLE),
    ("UPDATE invoices SET payment_url = 'https://pay.example' WHERE id = {invoice}", WHOLE),
    ("UPDATE invoices SET reference_number = 'x' WHERE id = {invoice}", WHOLE),
    ("UPDATE invoices SET total_price = 99 WHERE id = {invoice}", WHOLE),
    ("UPDATE invoices SET incurred_costs = 99 WHERE id = {invoice}", WHOLE),
    ("UPDATE invoices SET compensations = -9 WHERE id = {invoice}", WHOLE),
    (
        "UPDATE invoices SET backend_id = 'x', imported_revision = 0 WHERE id = {invoice}",
        WHOLE,
    ),
    ("UPDATE invoices SET customer_id = {other} WHERE id = {invoice}", WHOLE | {"light"}),
    ("UPDATE customers SET name = 'After' WHERE id = {customer}", WHOLE),
    ("UPDATE customers SET uuid = gen_random_uuid() WHERE id = {customer}", WHOLE | {"light"}),
    ("UPDATE customers SET address = 'After' WHERE id = {customer}", WHOLE),
    ("UPDATE customers SET country = 'FI' WHERE id = {customer}", WHOLE),
    ("UPDATE customers SET email = 'after@example.com' WHERE id = {customer}", WHOLE),
    ("UPDATE customers SET postal = 'After' WHERE id = {customer}", WHOLE),
    ("UPDATE customers SET phone_number = 'After' WHERE id = {customer}", WHOLE),
    ("UPDATE customers SET bank_name = 'After' WHERE id = {customer}", WHOLE),
    ("UPDATE customers SET bank_account = 'After' WHERE id = {customer}", WHOLE),
    ("UPDATE customers SET vat_code = 'After' WHERE id = {customer}", WHOLE),
    ("UPDATE invoice_items SET uuid = gen_random_uuid() WHERE id = {item}", ITEMS),
    ("UPDATE invoice_items SET name = 'After' WHERE id = {item}", ITEMS),
    ("UPDATE invoice_items SET unit_price = 9 WHERE id = {item}", ITEMS | {"stats"}),
    ("UPDATE invoice_items SET unit_price = 7, quantity = 0.5 WHERE id = {item}", ITEMS),
    ("UPDATE invoice_items SET quantity = 2 WHERE id = {item}", ITEMS | {"stats"}),
    ("UPDATE invoice_items SET unit = 'hour' WHERE id = {item}", ITEMS),
    ("UPDATE invoice_items SET measured_unit = 'After' WHERE id = {item}", ITEMS),
    ("UPDATE invoice_items SET article_code = 'After' WHERE id = {item}", ITEMS),
    ("UPDATE invoice_items SET start = start + interval '1 us' WHERE id = {item}", ITEMS),
    ('UPDATE invoice_items SET "end" = now() WHERE id = {item}', ITEMS),
    ("UPDATE invoice_items SET project_name = 'After' WHERE id = {item}", ITEMS),
    ("UPDATE invoice_items SET project_uuid = gen_random_uuid() WHERE id = {item}", ITEMS),
    ("UPDATE invoice_items SET project_id = NULL WHERE id = {item}", ITEMS),
    ("UPDATE invoice_items SET resource_id = NULL WHERE id = {item}", ITEMS | {"stats"}),
    ("UPDATE invoice_items SET plan_component_id = NULL WHERE id = {item}", ITEMS),
    ("UPDATE invoice_items SET details = '{{}}' WHERE id = {item}", ITEMS),
    ("UPDATE invoice_items SET backend_uuid = gen_random_uuid() WHERE id = {item}", ITEMS),
    ("UPDATE invoice_items SET credit = true WHERE id = {item}", ITEMS),
    ("DELETE FROM invoice_items WHERE id = {item}", ITEMS | {"stats"}),
    (
        "INSERT INTO invoice_items (uuid, invoice_id, name, unit_price, quantity, unit, start,"
        ' "end") VALUES (gen_random_uuid(), {invoice}, \'New\', 1, 1, \'hour\', now(), now())',
        ITEMS,
    ),
    ("UPDATE projects SET name = 'After' WHERE id = {project}", ITEMS),
    ("UPDATE projects SET uuid = gen_random_uuid() WHERE id = {project}", ITEMS),
    ("UPDATE resources SET name = 'After' WHERE id = {resource}", ITEMS),
    ("UPDATE resources SET uuid = gen_random_uuid() WHERE id = {resource}", ITEMS),
    ("UPDATE offering_components SET billing_type = 'usage' WHERE id = {component}", ITEMS),
    ("UPDATE plan_components SET component_id = {other_component} WHERE id = {plan_component}",
     ITEMS),
    ("UPDATE plan_components SET component_id = NULL WHERE id = {plan_component}", ITEMS),
    ("UPDATE offerings SET name = 'After' WHERE id = {offering}", {"stats"}),
    ("UPDATE offerings SET customer_id = NULL WHERE id = {offering}", {"stats"}),
    ("UPDATE categories SET title = 'After' WHERE id = {category}", {"stats"}),
    ("UPDATE customers SET name = 'After' WHERE name = 'Seller'", {"stats"}),
    ("UPDATE service_providers SET uuid = gen_random_uuid()", {"stats"}),
    ("DELETE FROM service_providers", {"stats"}),
]  # fmt: skip


@pytest.mark.parametrize(("statement", "changed"), INPUTS, ids=[each for each, _ in INPUTS])
async def test_each_input_changes_the_answer(
    statement: str,
    changed: set[str],
    *,
    shown: Shown,
    make: Factories,
    connection: AsyncConnection,
    settings: Settings,
    app: FastAPI,
) -> None:
    other = await make.customer(name="Other")
    before = await shown.answers()
    assert {name: a.content for name, a in (await shown.answers()).items()} == {
        name: a.content for name, a in before.items()
    }
    keys = {name: row.id for name, row in vars(shown).items() if isinstance(row, Row)}
    await connection.execute(text(statement.format(**keys, other=other.id)))
    if "SET uuid = gen_random_uuid() WHERE id = {invoice}" in statement:
        listed = await shown._client.get("/api/invoices/", headers=shown.staff.headers)
        assert listed.content != before["list"].content
        assert listed.headers["etag"] != before["list"].headers["etag"]
        return
    after = await shown.answers()
    assert {n for n in before if after[n].content != before[n].content} == changed
    for name in changed:
        assert after[name].headers["etag"] != before[name].headers["etag"], name

    # A process that keeps nothing yet agrees.
    app.state.response_cache = ResponseCache(settings)
    for name, fresh in (await shown.answers()).items():
        assert fresh.content == after[name].content
        assert fresh.headers["etag"] == after[name].headers["etag"]


async def test_a_change_that_is_rolled_back_leaves_the_cached_response(
    shown: Shown, database: Database, statements: list[str]
) -> None:
    before = await shown.answers()

    async def change() -> None:
        async with database.transaction() as connection:
            await connection.execute(text("UPDATE invoices SET backend_id = 'x'"))
            await connection.execute(text("UPDATE customers SET name = 'x'"))
            seen = await shown.answers()  # before the commit nothing is seen of it
            assert seen["one"].content == before["one"].content
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await change()
    statements.clear()
    after = await shown.answers()
    assert {n: a.headers["etag"] for n, a in after.items()} == {
        n: a.headers["etag"] for n, a in before.items()
    }
    assert not any("invoice_items" in statement for statement in statements)


async def test_links_and_fields_are_part_of_the_cached_response(
    shown: Shown, client: httpx.AsyncClient
) -> None:
    headers = shown.staff.headers
    here = await client.get(shown.url, headers=headers)
    there = await client.get(shown.url, headers={**headers, "Host": "other.example"})
    assert here.json()["url"].startswith("http://invoicing.example/")
    assert there.json()["url"].startswith("http://other.example/")
    assert here.headers["etag"] != there.headers["etag"]
    some = await client.get(f"{shown.url}?field=items&field=uuid", headers=headers)
    assert list(some.json()) == ["uuid", "items"]
    assert some.json()["items"] == here.json()["items"]
    only = await client.get(f"{shown.url}?field=items", headers=headers)
    assert list(only.json()) == ["items"]
    listed = await client.get("/api/invoices/?field=items", headers=headers)
    assert listed.json() == [only.json()]


async def test_settings_are_part_of_the_validator(shown: Shown, settings: Settings) -> None:
    seen: dict[str, str] = {}
    changes: dict[str, dict[str, Any]] = {
        "as it was": {},
        "again": {},
        "issuer": {"issuer_details": IssuerDetails(name="Other")},
        "locale": {"locale": "et"},
        "style": {"wire_uuid_style": "hex"},
        "platform": {"platform_url": "https://platform.example"},
    }
    for name, change in changes.items():
        app = create_app(settings.model_copy(update=change))
        async with app.router.lifespan_context(app), client_of(app) as client:
            answer = await client.get(shown.url, headers=shown.staff.headers)
        seen[name] = answer.headers["etag"]
    assert seen["as it was"] == seen["again"]
    assert len(set(seen.values())) == len(changes) - 1


async def test_the_cache_has_a_bound(settings: Settings, make: Factories) -> None:
    bound = 20_000
    customer, user = await make.customer(), await make.staff()
    for month in range(1, 13):
        invoice = await make.invoice(customer, Period(2026, month))
        for _ in range(6):
            await make.item(invoice)
    app = create_app(settings.model_copy(update={"document_cache_bytes": bound}))
    async with app.router.lifespan_context(app), client_of(app) as client:
        for query in ("", "?page=2", "?field=items", "?page_size=12", ""):
            answer = await client.get(f"/api/invoices/{query}", headers=user.headers)
            assert answer.json()
            assert len(answer.content) > bound or query == "?page=2"
            assert 0 < app.state.response_cache.size <= bound


async def test_a_document_is_never_half_updated(
    shown: Shown, app: FastAPI, database: Database
) -> None:
    """Readers see name and price change together, though they are in two tables."""
    stop = asyncio.Event()

    async def write() -> None:
        for number in range(60):
            async with database.transaction() as connection:
                await connection.execute(
                    text("UPDATE invoices SET backend_id = :n WHERE id = :id"),
                    {"n": str(number), "id": shown.invoice.id},
                )
                await connection.execute(
                    text("UPDATE invoice_items SET name = :n, unit_price = :price WHERE id = :id"),
                    {"n": str(number), "price": number + 1, "id": shown.item.id},
                )
                await connection.execute(
                    text("UPDATE resources SET name = :n WHERE id = :id"),
                    {"n": str(number), "id": shown.resource.id},
                )
        stop.set()

    async def read(check: Callable[[httpx.AsyncClient], Awaitable[None]]) -> int:
        reads = 0
        async with client_of(app) as client:
            while not stop.is_set():
                await check(client)
                reads += 1
        return reads

    def agree(body: dict[str, Any]) -> None:
        (item,) = body["items"]
        if body["backend_id"]:
            assert item["name"] == item["resource_name"] == body["backend_id"]
            assert item["price"] == float(body["price"]) == int(body["backend_id"]) + 1

    async def one(client: httpx.AsyncClient) -> None:
        agree((await client.get(shown.url, headers=shown.staff.headers)).json())

    async def listed(client: httpx.AsyncClient) -> None:
        (body,) = (await client.get("/api/invoices/", headers=shown.staff.headers)).json()
        agree(body)

    _, *reads = await asyncio.gather(write(), read(one), read(listed))
    assert min(reads) > 5


async def test_an_item_added_while_its_resource_is_renamed(
    shown: Shown, client: httpx.AsyncClient, database: Database
) -> None:
    """Whichever commits last, the answer shows both."""
    url, headers = shown.url, shown.staff.headers
    await client.get(url, headers=headers)
    async with database.transaction() as renaming:
        await renaming.execute(
            text("UPDATE resources SET name = 'After' WHERE id = :id"), {"id": shown.resource.id}
        )
        async with database.transaction() as adding:
            await adding.execute(
                text(
                    "INSERT INTO invoice_items (uuid, invoice_id, name, unit_price, quantity, unit,"
                    ' start, "end", resource_id)'
                    " VALUES (:uuid, :invoice, 'New', 1, 1, 'hour', now(), now(), :resource)"
                ),
                {"uuid": uuid4(), "invoice": shown.invoice.id, "resource": shown.resource.id},
            )
        between = (await client.get(url, headers=headers)).json()
        assert [item["resource_name"] for item in between["items"]] == ["vm", "vm"]
    after = (await client.get(url, headers=headers)).json()
    assert [item["resource_name"] for item in after["items"]] == ["After", "After"]


async def test_requests_of_clients_do_not_fill_the_memory(
    shown: Shown, app: FastAPI, client: httpx.AsyncClient
) -> None:
    """Keys are digests: a long query or a long host takes no room beside the body."""
    await client.get(f"{shown.url}items/?query={'x' * 5000}", headers=shown.staff.headers)
    headers = {**shown.staff.headers, "Host": "x" * 5000}
    await client.get(f"{shown.url}?field=items&field=uuid", headers=headers)
    keys = list(app.state.response_cache._entries)
    assert len(keys) == 2
    assert all(len(repr(key)) < 200 for key in keys)
