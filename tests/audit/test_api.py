"""The history of an invoice, and the invoice at a moment, as staff and support read them."""

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import uuid4

import httpx
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from app import clock
from app.audit.actor import Actor
from app.audit.writer import audited_transaction
from app.billing.enums import InvoiceState
from app.database.engine import Database
from tests.support.factories import Factories, Row, UserRow
from tests.support.history import KEY

BEGAN = datetime(2026, 11, 1, 12, tzinfo=UTC)
DENIED = {"detail": "You do not have permission to perform this action."}
NO_INVOICE = {"detail": "No Invoice matches the given query."}


class Story:
    """An invoice that was made, annotated, charged more, and paid, an hour each."""

    def __init__(self, invoice: Row, staff: UserRow, customer: Row) -> None:
        self.invoice = invoice
        self.staff = staff
        self.customer = customer
        self.path = f"/api/invoices/{invoice.uuid}/history/"


@pytest.fixture
async def story(database: Database, client: httpx.AsyncClient, make: Factories) -> Story:
    clock.freeze(BEGAN)
    staff = await make.user(is_staff=True, username="anna")
    customer = await make.customer()
    profile = await make.profile(customer)
    async with audited_transaction(database, KEY, Actor("import")) as within:
        inside = Factories(within)
        invoice = await inside.invoice(customer, state=InvoiceState.CREATED)
        await inside.item(invoice, "10", name="Disk", details={"offering_name": "D", "x": 1.5})
        await inside.item(invoice, "5", name="Core", uuid=uuid4())
    clock.freeze(BEGAN + timedelta(hours=1))
    path = f"/api/invoices/{invoice.uuid}"
    body = {"backend_id": "B-1"}
    answer = await client.post(f"{path}/set_backend_id/", json=body, headers=staff.headers)
    assert answer.status_code == 200
    clock.freeze(BEGAN + timedelta(hours=2))
    async with audited_transaction(database, KEY, Actor("test"), "a correction") as within:
        await within.execute(text("UPDATE invoice_items SET unit_price = 12 WHERE name = 'Disk'"))
        await within.execute(text("DELETE FROM invoice_items WHERE name = 'Core'"))
    clock.freeze(BEGAN + timedelta(hours=3))
    answer = await client.post(f"{path}/paid/", json={"date": "2026-11-01"}, headers=staff.headers)
    assert answer.status_code == 200
    assert profile.id
    client.headers.update(staff.headers)
    return Story(invoice, staff, customer)


async def test_the_history_shows_actors_and_changes(
    client: httpx.AsyncClient, story: Story
) -> None:
    answer = await client.get(story.path)
    assert answer.status_code == 200
    assert answer.headers["x-result-count"] == "4"
    paid, corrected, annotated, made = answer.json()
    assert [made["revision_date"], paid["revision_date"]] == [
        "2026-11-01T12:00:00Z",
        "2026-11-01T15:00:00Z",
    ]
    assert [each["revision_comment"] for each in (paid, corrected, annotated, made)] == [
        "Marked as paid.",
        "test: a correction",
        "Backend ID set.",
        "Imported.",
    ]
    user = {"uuid": str(story.staff.uuid), "username": "anna", "token": ""}
    assert (paid["revision_user"], made["revision_user"]) == (user, None)

    data = paid["serialized_data"]
    invoice = (await client.get(f"/api/invoices/{story.invoice.uuid}/")).json()
    of_now = {name: invoice[name] for name in data if name in invoice}
    assert {name: data[name] for name in of_now} == of_now
    assert {"customer", "price", "tax", "total", "url", "due_date"} <= set(of_now)
    assert data["tax_percent"] == "20.00"

    assert annotated["serialized_data"]["changes"] == {
        "invoice": {"backend_id": ["", "B-1"]},
        "items": [],
        "items_changed": 0,
        "payments": [],
        "payments_changed": 0,
    }
    changes = corrected["serialized_data"]["changes"]
    assert changes["invoice"] == {
        "price": ["15.0000000000", "12.0000000000"],
        "incurred_costs": [15.0, 12.0],
    }
    disk, core = changes["items"]
    assert disk["was"] == {"price": 10.0, "unit_price": "10.0000000000"}
    assert disk["became"] == {"price": 12.0, "unit_price": "12.0000000000"}
    assert (core["was"]["name"], core["became"]) == ("Core", None)
    assert core["was"]["start"] == "2026-10-01T00:00:00Z"
    assert changes["items_changed"] == 2
    [payment] = paid["serialized_data"]["changes"]["payments"]
    assert payment["became"]["sum"] == "14.40"
    assert payment["became"]["created_at"] == "2026-11-01T15:00:00Z"
    first = made["serialized_data"]["changes"]
    assert first["invoice"]["state"] == [None, "created"]
    assert first["items"][0]["became"]["details"] == {"offering_name": "D", "x": 1.5}


async def test_pages_and_filters(client: httpx.AsyncClient, story: Story) -> None:
    async def found(query: str) -> list[str]:
        answer = await client.get(f"{story.path}?{query}")
        assert answer.status_code == 200, answer.text
        assert answer.headers["x-result-count"] == str(
            len((await client.get(f"{story.path}?{query}&page_size=300&page=1")).json())
        )
        return [each["revision_comment"].rstrip(".") for each in answer.json()]

    assert await found("page_size=3&page=2") == ["Imported"]
    answer = await client.get(f"{story.path}?page_size=3")
    assert f'{story.path}?page=2&page_size=3>; rel="next"' in answer.headers["link"]
    assert await found("created_after=2026-11-01T14:30:00Z") == ["Marked as paid"]
    assert await found("created_before=2026-11-01T12:30") == ["Imported"]
    # A plus sign that nobody escaped is a space.
    assert await found("created_before=2026-11-01T14:30:00+02:00") == ["Imported"]
    between = "created_after=2026-11-01T13:00:00Z&created_before=2026-11-01T13:00:00Z"
    assert await found(between) == ["Backend ID set"]
    assert await found("created_after=2027-01-01") == []
    assert await found("state=paid&year=2026&o=-created&page_size=1") == ["Marked as paid"]
    for query, status, body in (
        ("page=9", 404, {"detail": "Invalid page."}),
        ("state=pending", 404, NO_INVOICE),
        (
            "created_after=x&state=bogus&page_size=0",
            400,
            {
                "created_after": ["Enter a valid date/time."],
                "page_size": ["Ensure this value is greater than or equal to 1."],
                "state": ["Select a valid choice. bogus is not one of the available choices."],
            },
        ),
    ):
        answer = await client.get(f"{story.path}?{query}")
        assert (answer.status_code, answer.json()) == (status, body)


async def test_an_invoice_as_of_a_time(client: httpx.AsyncClient, story: Story) -> None:
    async def at(hours: float) -> Any:
        moment = (BEGAN + timedelta(hours=hours)).isoformat().replace("+00:00", "Z")
        answer = await client.get(f"{story.path}at/?timestamp={moment}")
        assert answer.status_code == 200, answer.text
        return answer.json()

    listed = (await client.get(story.path)).json()
    for hours, version in ((0, 3), (0.5, 3), (1, 2), (2.9, 1), (3, 0), (99, 0)):
        then = await at(hours)
        items, payments = (then["serialized_data"].pop(name) for name in ("items", "payments"))
        assert then == listed[version]
        prices = {item["name"]: item["price"] for item in items}
        assert prices == ({"Core": 5.0, "Disk": 10.0} if version > 1 else {"Disk": 12.0})
        assert [item["name"] for item in items] == sorted(prices)
        assert [payment["sum"] for payment in payments] == ([] if version else ["14.40"])
    early = await client.get(f"{story.path}at/?timestamp=2026-11-01T11:59:59Z")
    assert early.status_code == 404
    assert list(early.json()) == ["detail"]
    for query, message in (
        ("", "This field is required."),
        ("timestamp=", "This field is required."),
        ("timestamp=yesterday", "Enter a valid date/time."),
        ("timestamp=9999-12-31T23:59:59-12:00", "Enter a valid date/time."),
    ):
        answer = await client.get(f"{story.path}at/?{query}")
        assert (answer.status_code, answer.json()) == (400, {"timestamp": [message]})
    answer = await client.get(f"{story.path}at/?timestamp=2027-01-01&state=pending")
    assert (answer.status_code, answer.json()) == (404, NO_INVOICE)


@pytest.mark.parametrize("end", ["", "at/?timestamp=2027-01-01"])
async def test_only_staff_and_support_may_read_the_history(
    client: httpx.AsyncClient, make: Factories, story: Story, end: str
) -> None:
    del client.headers["Authorization"]
    path = story.path + end
    assert (await client.get(path)).status_code == 401
    for user in (await make.owner(story.customer), await make.user()):
        for wrong in (
            path,
            f"{story.path}at/?timestamp=x&state=bogus",
            f"{story.path}?state=bogus",
        ):
            answer = await client.get(wrong, headers=user.headers)
            assert (answer.status_code, answer.json()) == (403, DENIED)
        other = f"/api/invoices/{uuid4()}/history/{end}"
        assert (await client.get(other, headers=user.headers)).status_code == 403
    support = (await make.support()).headers
    got = await client.get(path, headers=support)
    assert got.status_code == 200
    head = await client.head(path, headers=support)
    assert (head.status_code, head.content) == (200, b"")
    # The body may be compressed, as its ETag shows.
    assert head.headers["etag"] == got.headers["etag"].replace("-zstd", "")
    assert head.headers.get("x-result-count") == got.headers.get("x-result-count")
    known = support | {"If-None-Match": got.headers["etag"]}
    assert (await client.get(path, headers=known)).status_code == 304
    for uuid in (uuid4(), "malformed"):
        answer = await client.get(f"/api/invoices/{uuid}/history/{end}", headers=support)
        assert (answer.status_code, answer.json()) == (404, NO_INVOICE)
    assert (await client.post(path, headers=support)).status_code == 405


async def test_the_number_of_statements_does_not_grow(
    client: httpx.AsyncClient, story: Story, statements: list[str]
) -> None:
    await client.get(f"/api/invoices/{story.invoice.uuid}/")
    for query, count in (
        # Found and counted twice, the second time in the snapshot that the answer is made from.
        ("", 6),
        ("?page_size=1", 6),
        # The same again is kept.
        ("", 2),
        ("at/?timestamp=2026-11-01T12:00:00Z", 8),
        ("at/?timestamp=2027-01-01", 8),
    ):
        statements.clear()
        answer = await client.get(f"{story.path}{query}")
        assert answer.status_code == 200
        assert len(statements) == count, (query, statements)


async def test_an_entry_shows_at_most_a_hundred_items(
    client: httpx.AsyncClient, database: Database, make: Factories
) -> None:
    headers = (await make.staff()).headers
    async with audited_transaction(database, KEY, Actor("import")) as within:
        invoice = await Factories(within).invoice(await make.customer())
        await within.execute(
            text(
                "INSERT INTO invoice_items (uuid, invoice_id, name, unit_price, quantity, unit,"
                " start, \"end\") SELECT gen_random_uuid(), :invoice, 'Item ' || n, 1, 1, 'month',"
                " now(), now() FROM generate_series(1, 1234) AS n"
            ),
            {"invoice": invoice.id},
        )
    path = f"/api/invoices/{invoice.uuid}/history/"
    [entry] = (await client.get(path, headers=headers)).json()
    changes = entry["serialized_data"]["changes"]
    assert [item["became"]["name"] for item in changes["items"]] == [
        f"Item {n}" for n in range(1, 101)
    ]
    assert changes["items_changed"] == 1234
    then = await client.get(f"{path}at/?timestamp=9999-01-01", headers=headers)
    assert len(then.json()["serialized_data"]["items"]) == 1234


async def test_an_incomplete_record_has_no_items_as_of_a_time(
    client: httpx.AsyncClient, database: Database, connection: AsyncConnection, make: Factories
) -> None:
    headers = (await make.staff()).headers
    invoice = await make.invoice(await make.customer(), state=InvoiceState.CREATED)
    await make.item(invoice, Decimal("1.5"))
    await connection.execute(text("SELECT 1"))
    path = f"/api/invoices/{invoice.uuid}"
    empty = await client.get(f"{path}/history/", headers=headers)
    assert (empty.json(), empty.headers["x-result-count"]) == ([], "0")
    body = {"backend_id": "B"}
    await client.post(f"{path}/set_backend_id/", json=body, headers=headers)
    answer = await client.get(f"{path}/history/at/?timestamp=9999-01-01", headers=headers)
    data = answer.json()["serialized_data"]
    assert (data["items"], data["payments"]) == (None, None)
    assert json.dumps(data["changes"]["invoice"]) == '{"backend_id": ["", "B"]}'
    assert database
