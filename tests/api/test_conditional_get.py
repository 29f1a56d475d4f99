"""Conditional requests: a client with the current response gets 304, and nothing is rendered."""

from typing import Any

import httpx
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from app.billing.periods import Period
from tests.support.factories import Factories, Row, UserRow


class Client:
    """Staff, an owner, and an invoice of theirs."""

    def __init__(self, client: httpx.AsyncClient, staff: UserRow, owner: UserRow) -> None:
        self._client = client
        self.staff = staff
        self.owner = owner

    async def get(self, url: str, tag: str | None = None, **more: Any) -> httpx.Response:
        headers = {**more.pop("user", self.staff).headers, **more.pop("headers", {})}
        if tag is not None:
            headers["If-None-Match"] = tag
        return await self._client.request(more.pop("method", "GET"), url, headers=headers)


@pytest.fixture
async def customer(make: Factories) -> Row:
    return await make.customer()


@pytest.fixture
async def invoice(make: Factories, customer: Row) -> Row:
    invoice = await make.invoice(customer)
    await make.item(invoice, offering_id=(await make.offering()).id)
    return invoice


@pytest.fixture
async def caller(make: Factories, client: httpx.AsyncClient, customer: Row) -> Client:
    return Client(client, await make.staff(), await make.owner(customer))


@pytest.fixture(params=["", "{uuid}/", "{uuid}/items/", "{uuid}/stats/", "?field=uuid&page=last"])
def url(request: pytest.FixtureRequest, invoice: Row) -> str:
    return f"/api/invoices/{request.param.format(uuid=invoice.uuid)}"


async def test_an_answer_that_is_known_is_not_made(
    url: str, caller: Client, statements: list[str], connection: AsyncConnection
) -> None:
    first = await caller.get(url)
    assert first.status_code == 200
    assert first.headers["cache-control"] == "private, no-cache"
    tag = first.headers["etag"]
    statements.clear()
    for method in ("GET", "HEAD"):
        again = await caller.get(url, tag, method=method)
        assert (again.status_code, again.content) == (304, b"")
        assert again.headers["etag"] == tag
        assert again.headers["cache-control"] == "private, no-cache"
        assert again.headers["vary"] == "Accept-Encoding"
        assert "content-type" not in again.headers
    far = "page=last" in url
    assert len(statements) == (4 if far else 2)  # one each; two where the page is far
    assert not any("invoice_items" in statement for statement in statements)

    for tags in ('"other", ' + tag, f"W/{tag}", "*"):
        assert (await caller.get(url, tags)).status_code == 304
    for tags in ('"other"', "", "nonsense", tag.strip('"')):
        assert (await caller.get(url, tags)).status_code == 200

    await connection.execute(text("UPDATE invoices SET tax_percent = 3"))
    after = await caller.get(url, tag)
    assert after.status_code == 200
    assert after.headers["etag"] != tag


async def test_head_has_the_validator_of_get(url: str, caller: Client) -> None:
    plain = {"Accept-Encoding": "identity"}
    head = await caller.get(url, method="HEAD", headers=plain)
    get = await caller.get(url, headers=plain)
    assert head.headers["etag"] == get.headers["etag"]
    assert head.content == b""


async def test_a_compressed_answer_has_a_validator_of_its_own(
    make: Factories, caller: Client, invoice: Row
) -> None:
    for _ in range(5):
        await make.item(invoice)
    url = f"/api/invoices/{invoice.uuid}/"
    plain = await caller.get(url, headers={"Accept-Encoding": "identity"})
    packed = await caller.get(url, headers={"Accept-Encoding": "gzip"})
    assert packed.headers["content-encoding"] == "gzip"
    assert packed.content == plain.content
    assert packed.headers["etag"] != plain.headers["etag"]
    for accepted in ("gzip", "gzip, zstd"):
        again = await caller.get(url, packed.headers["etag"], headers={"Accept-Encoding": accepted})
        assert (again.status_code, again.content) == (304, b"")
        assert again.headers["etag"] == packed.headers["etag"]
        assert "content-encoding" not in again.headers


async def test_an_invoice_that_does_not_exist_is_no_match(caller: Client) -> None:
    unknown = "5c3f2a10-0000-4000-8000-000000000000"
    for path in (f"{unknown}/", f"{unknown}/items/", f"{unknown}/stats/", "?page=9"):
        assert (await caller.get(f"/api/invoices/{path}", "*")).status_code == 404
    assert (await caller.get("/api/invoices/?year=x", "*")).status_code == 400


async def test_an_invoice_that_became_invisible_is_gone_at_once(
    url: str, caller: Client, connection: AsyncConnection
) -> None:
    first = await caller.get(url, user=caller.owner)
    assert first.status_code == 200
    tag = first.headers["etag"]
    assert (await caller.get(url, tag, user=caller.owner)).status_code == 304
    await connection.execute(text("UPDATE customer_roles SET is_active = false"))
    after = await caller.get(url, tag, user=caller.owner)
    if url.startswith("/api/invoices/?") or url == "/api/invoices/":
        assert (after.status_code, after.json()) == (200, [])
    else:
        assert after.status_code == 404


async def test_another_total_is_another_page(
    make: Factories, caller: Client, invoice: Row, customer: Row
) -> None:
    """The body of a page may be the same while its headers change."""
    url = "/api/invoices/?page_size=1&o=created"
    first = await caller.get(url)
    await make.invoice(customer, Period(2026, 12))
    after = await caller.get(url, first.headers["etag"])
    assert after.content == first.content
    assert (after.status_code, after.headers["x-result-count"]) == (200, "2")


async def test_a_change_answers_without_a_validator(
    make: Factories, caller: Client, customer: Row
) -> None:
    invoice = await make.invoice(customer, Period(2026, 9))
    await caller._client.get("/api/invoices/", headers=caller.staff.headers)
    url = f"/api/invoices/{invoice.uuid}/set_backend_id/"
    answer = await caller.get(url, "*", method="POST")
    assert answer.status_code == 200
    assert "etag" not in answer.headers
