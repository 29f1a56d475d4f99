"""The list of invoices: order, filters, pages, fields, and what it costs the database."""

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qsl, urlsplit
from uuid import UUID

import httpx
import pytest

from app import clock
from app.billing.enums import InvoiceState
from app.billing.periods import Period
from tests.support.clients import BASE
from tests.support.factories import Factories, Row

URL = "/api/invoices/"


class Listing:
    """Lists invoices as staff and names them by what the test calls them."""

    def __init__(self, client: httpx.AsyncClient, headers: dict[str, str]) -> None:
        self._client = client
        self._headers = headers
        self._names: dict[str, str] = {}

    def call(self, name: str, invoice: Row) -> Row:
        self._names[str(invoice.uuid)] = name
        return invoice

    async def get(self, query: str = "") -> httpx.Response:
        return await self._client.get(f"{URL}?{query}", headers=self._headers)

    async def names(self, query: str = "") -> list[str]:
        answer = await self.get(f"{query}&field=uuid&page_size=100")
        assert answer.status_code == 200, answer.text
        return [self._names[row["uuid"]] for row in answer.json()]

    async def head(self, query: str = "") -> httpx.Response:
        return await self._client.head(f"{URL}?{query}", headers=self._headers)


@pytest.fixture
async def listing(client: httpx.AsyncClient, make: Factories) -> Listing:
    return Listing(client, (await make.staff()).headers)


async def test_newest_period_first_then_by_number(listing: Listing, make: Factories) -> None:
    one, other = await make.customer(), await make.customer()
    for name, customer, period, number in [
        ("old", one, Period(2025, 12), 9),
        ("first", one, Period(2026, 2), 7),
        ("second", other, Period(2026, 2), 8),
        ("late", other, Period(2026, 10), 1),
    ]:
        listing.call(name, await make.invoice(customer, period, number=number))
    assert await listing.names() == ["late", "second", "first", "old"]
    assert await listing.names("o=year,month") == ["old", "second", "first", "late"]
    assert await listing.names("o=year&o=-month") == ["old", "late", "second", "first"]
    assert await listing.names("o=month") == ["second", "first", "late", "old"]
    assert await listing.names("o=-created") == ["late", "second", "first", "old"]
    assert await listing.names("o=,created,") == ["old", "second", "first", "late"]
    assert await listing.names("o=%20-created%20,%09year%20") == ["late", "second", "first", "old"]
    assert await listing.names("o=%20") == await listing.names()


async def test_filters(listing: Listing, make: Factories) -> None:
    started = await make.customer(accounting_start_date=datetime(2026, 1, 1, tzinfo=UTC))
    waiting = await make.customer(accounting_start_date=datetime(2027, 1, 1, tzinfo=UTC))
    clock.freeze(datetime(2026, 11, 23, tzinfo=UTC))
    september = listing.call(
        "september", await make.invoice(started, Period(2026, 9), InvoiceState.PAID)
    )
    october = listing.call(
        "october", await make.invoice(started, Period(2026, 10), InvoiceState.CREATED)
    )
    listing.call("other", await make.invoice(waiting, Period(2025, 10), created=date(2026, 10, 1)))
    await make.item(september, "100")  # with tax 120
    await make.item(october, "100.02", quantity=Decimal("0.5"))  # with tax 60.012
    cases: dict[str, list[str]] = {
        "state=paid": ["september"],
        "state=paid&state=created": ["october", "september"],
        "state=pending_finalization": [],
        "state=pending_finalization&state=paid": ["september"],
        "state=pending_finalization&year=99999": [],
        "year=2025": ["other"],
        "year=2026.0": ["october", "september"],
        "year=&month=10": ["october", "other"],
        "year=99999999999999999999999": [],
        "month=13": [],
        "month=-1": [],
        "created=2026-10-01": ["october", "other"],
        "created=2026-9-1": ["september"],
        "start_date=2026-09-01": ["october", "other"],
        "start_date=2026-10-01": [],
        "end_date=2026-10-01": ["september"],
        "start_date=2026-08-31&end_date=2026-10-02&year=2026": ["october", "september"],
        f"customer_uuid={waiting.uuid}": ["other"],
        f"customer_uuid={waiting.uuid.hex.upper()}": ["other"],
        f"customer_uuid={october.uuid}": [],
        f"customer=https://x.example/api/customers/{started.uuid.hex}/": ["october", "september"],
        f"customer=https://{'a' * 32}.example/{started.uuid}": ["october", "september"],
        f"customer={waiting.uuid}": ["other"],
        f"customer={october.uuid}": [],
        "customer=https://x.example/api/customers/": [],
        "customer=%00": [],
        "accounting_is_running=true": ["october", "september"],
        "accounting_is_running=False": ["other"],
        "min_sum=60.012": ["october", "september"],
        "min_sum=60.0121": ["september"],
        "max_sum=60.012": ["october", "other"],
        "max_sum=60.0119&min_sum=-1": ["other"],
        "max_sum=1e2": ["october", "other"],
        "nonsense=1": ["october", "september", "other"],
        "month=3&month=9": ["september"],
        "o=&customer=&customer_uuid=&min_sum=&created=&page=&page_size=": [
            "october",
            "september",
            "other",
        ],
    }
    found = {query: await listing.names(query) for query in cases}
    assert found == cases
    counted = {query: (await listing.head(query)).headers["x-result-count"] for query in cases}
    assert counted == {query: str(len(names)) for query, names in cases.items()}


NOBODY = UUID(int=0)
INVALID = "Select a valid choice. {} is not one of the available choices."


@pytest.mark.parametrize("query", ["state=", "state=&state=paid", "state=paid&state=", "state=%20"])
@pytest.mark.parametrize("path", ["", f"{NOBODY}/", f"{NOBODY}/items/", f"{NOBODY}/stats/"])
async def test_a_state_without_a_value_is_refused(
    path: str, query: str, make: Factories, client: httpx.AsyncClient
) -> None:
    """A script whose variable is empty must not get the invoices of all states."""
    headers = (await make.staff()).headers
    answer = await client.get(f"/api/invoices/{path}?{query}", headers=headers)
    word = " " if "%20" in query else ""
    assert (answer.status_code, answer.json()) == (400, {"state": [INVALID.format(word)]})


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_wrong_parameters(
    method: str, make: Factories, client: httpx.AsyncClient, listing: Listing
) -> None:
    wrong: dict[str, tuple[str, str]] = {
        "created": ("2026-02-30", "Enter a valid date."),
        "start_date": ("tomorrow", "Enter a valid date."),
        "end_date": ("0000-01-01", "Enter a valid date."),
        "customer_uuid": ("%00", "Enter a valid UUID."),
        "year": ("MMXXVI", "Enter a number."),
        "month": ("1.5", "Enter a whole number."),
        "min_sum": ("NaN", "Enter a number."),
        "max_sum": ("1e999999999", "Enter a number."),
        "state": ("bogus", INVALID.format("bogus")),
        "o": ("-year,total", INVALID.format("total")),
        "accounting_is_running": ("perhaps", "Must be a valid boolean."),
        "page_size": ("0", "Ensure this value is greater than or equal to 1."),
    }
    query = "&".join(f"{name}={value}" for name, (value, _) in wrong.items())
    answer = await (listing.get(query) if method == "GET" else listing.head(query))
    assert answer.status_code == 400
    if method == "GET":
        assert answer.json() == {name: [message] for name, (_, message) in wrong.items()}


@pytest.mark.parametrize("size", ["ten", "-3", "1.5", "\u0663", "%C2%B2"])
async def test_a_page_size_that_is_none(size: str, listing: Listing) -> None:
    assert (await listing.get(f"page_size={size}")).status_code == 400


async def pages(listing: Listing, query: str) -> tuple[int, dict[str, str], dict[str, str]]:
    answer = await listing.get(query)
    assert answer.status_code == 200
    assert answer.headers["x-result-count"] == (await listing.head(query)).headers["x-result-count"]
    assert answer.headers["link"] == (await listing.head(query)).headers["link"]
    links = {}
    for part in answer.headers["link"].split(", "):
        url, rel = part.split("; rel=")
        links[rel.strip('"')] = url.strip("<>")
    numbers = {
        rel: dict(parse_qsl(urlsplit(url).query)).get("page", "1") for rel, url in links.items()
    }
    return len(answer.json()), numbers, links


async def test_pages(listing: Listing, make: Factories) -> None:
    customer = await make.customer()
    for month in range(1, 13):
        await make.invoice(customer, Period(2026, month))
    assert (await pages(listing, ""))[:2] == (10, {"first": "1", "next": "2", "last": "2"})
    assert (await pages(listing, "page=2"))[:2] == (2, {"first": "1", "prev": "1", "last": "2"})
    assert (await pages(listing, "page=last&page_size=5"))[:2] == (
        2, {"first": "1", "prev": "2", "last": "3"},
    )  # fmt: skip
    assert (await pages(listing, "page=&page_size="))[0] == 10
    assert (await pages(listing, "page_size=12"))[:2] == (12, {"first": "1", "last": "1"})
    assert (await pages(listing, "page_size=99999999999999999999999"))[0] == 12
    _, _, links = await pages(listing, "state=pending&page=2&page_size=5&field=uuid&field=%C3%A4")
    assert links["next"] == (
        f"{BASE}/api/invoices/?field=uuid&field=%C3%A4&page=3&page_size=5&state=pending"
    )
    assert links["prev"] == (
        f"{BASE}/api/invoices/?field=uuid&field=%C3%A4&page_size=5&state=pending"
    )
    seen = [
        row["uuid"]
        for page in (1, 2, 3)
        for row in (await listing.get(f"page={page}&page_size=5&o=year")).json()
    ]
    assert len(set(seen)) == 12


@pytest.mark.parametrize("page", ["2", "0", "-1", "x", "1.0", "LAST", "9" * 5000, "\u0661"])
async def test_a_page_that_there_is_not(page: str, listing: Listing) -> None:
    for method in (listing.get, listing.head):
        answer = await method(f"page={page}")
        assert answer.status_code == 404
    assert (await listing.get(f"page={page}")).json() == {"detail": "Invalid page."}


async def test_nothing(listing: Listing) -> None:
    answer = await listing.get()
    assert answer.json() == []
    assert answer.headers["x-result-count"] == "0"
    assert answer.headers["link"] == (
        f'<{BASE}/api/invoices/>; rel="first", <{BASE}/api/invoices/>; rel="last"'
    )


async def test_at_most_300_on_a_page(listing: Listing, make: Factories, connection: Any) -> None:
    customer = await make.customer()
    for year in range(2000, 2026):
        for month in range(1, 13):
            await make.invoice(customer, Period(year, month))
    assert len((await listing.get("page_size=301&field=uuid")).json()) == 300
    assert len((await listing.get("page_size=300&field=uuid&page=2")).json()) == 12


@pytest.mark.parametrize("invoices", [1, 10])
async def test_a_page_takes_few_statements(
    invoices: int, listing: Listing, make: Factories, statements: list[str]
) -> None:
    customer = await make.customer()
    for month in range(1, invoices + 1):
        invoice = await make.invoice(customer, Period(2026, month))
        for _ in range(invoices):
            await make.item(invoice)
    statements.clear()
    answer = await listing.get()
    assert [len(row["items"]) for row in answer.json()] == [invoices] * invoices
    # The caller, the page with the count; and where it is not kept, in one snapshot: the page with
    # the count, its invoices, their items.
    assert len(statements) == 5
    statements.clear()
    again = await listing.get()
    assert again.content == answer.content
    assert len(statements) == 1


async def test_fields_that_are_not_requested_are_not_loaded(
    listing: Listing, make: Factories, statements: list[str]
) -> None:
    await make.item(await make.invoice(await make.customer()))
    statements.clear()
    answer = await listing.get("field=total&field=uuid&field=nonsense")
    assert list(answer.json()[0]) == ["uuid", "total"]
    assert len(statements) == 2  # the caller, the page
    assert not any("customers" in text or "invoice_items" in text for text in statements)
    statements.clear()
    answer = await listing.get("field=customer")
    assert list(answer.json()[0]) == ["customer"]
    assert len(statements) == 1  # the caller is cached by now
    statements.clear()
    answer = await listing.get("field=nonsense")
    assert len(answer.json()[0]) == 19
    statements.clear()
    answer = await listing.head()
    assert answer.headers["x-result-count"] == "1"
    assert answer.content == b""
    assert len(statements) == 1
    assert not any("invoice_items" in text for text in statements)
