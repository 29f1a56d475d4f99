"""Conventions of all lists, found by their routes: a new list is covered by itself.

The list of invoices, whose documents have items, has tests of its own.
"""

from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from fastapi.routing import iter_route_contexts

from app.main import create_app
from app.settings import Settings
from tests.support.factories import Factories
from tests.support.records import RECORDS

MAX_STATEMENTS = 4
"""Of a page, authentication included."""


def _lists() -> list[str]:
    """Return the paths of the lists: a GET named `…_list` whose path has no parameter."""
    app = create_app(
        Settings(database_url="postgresql:///none", redis_url="unix:///none", audit_key="0" * 64)
    )
    return sorted(
        route.path
        for route in iter_route_contexts(app.routes)
        if route.path
        and (getattr(route, "operation_id", None) or "").endswith("_list")
        and "{" not in route.path
        and route.path != "/api/invoices/"
    )


LISTS = _lists()


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """Settings with which every list is served."""
    return settings.model_copy(update={"customer_affiliates": True})


@pytest.fixture(params=LISTS)
def path(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
async def headers(make: Factories) -> dict[str, str]:
    # A compressed response has another ETag.
    return (await make.staff()).headers | {"Accept-Encoding": "identity"}


Insert = Callable[[str, int], Awaitable[str]]


@pytest.fixture
def insert(make: Factories) -> Insert:
    """Insert so many records of a list; return the query that the list needs."""

    async def insert(path: str, number: int) -> str:
        query = ""
        for _ in range(number):
            query = await RECORDS[path](make)
        return query

    return insert


async def _get(
    client: httpx.AsyncClient, path: str, query: str, headers: dict[str, str], **more: Any
) -> httpx.Response:
    return await client.request(
        more.get("method", "GET"), f"{path}?{query}&{more.get('also', '')}", headers=headers
    )


async def test_a_page_takes_at_most_four_statements_for_one_row_and_for_100(
    path: str, client: httpx.AsyncClient, insert: Insert, headers: Any, statements: list[str]
) -> None:
    counts = []
    for number in (1, 99):
        query = await insert(path, number)
        client_app: FastAPI = client._transport.app  # type: ignore[attr-defined]
        client_app.state.token_cache.clear()
        statements.clear()
        answer = await _get(client, path, query, headers, also="page_size=100")
        assert answer.status_code == 200, answer.text
        counts.append((len(statements), len(answer.json())))
    (few, _one), (many, rows) = counts
    assert few == many <= MAX_STATEMENTS
    assert rows > 1 or "costs" in path


async def test_pages_hold_each_record_once(
    path: str, client: httpx.AsyncClient, insert: Insert, headers: Any
) -> None:
    query = await insert(path, 5)
    whole = (await _get(client, path, query, headers, also="page_size=300")).json()
    url, pages = f"{path}?{query}&page_size=2", []
    while url:
        answer = await client.get(url, headers=headers)
        assert answer.headers["x-result-count"] == str(len(whole))
        pages += answer.json()
        url = answer.links.get("next", {}).get("url", "")
    assert pages == whole
    last = await _get(client, path, query, headers, also="page=last&page_size=2")
    assert last.json() == whole[-(len(whole) % 2 or 2) :]


async def test_a_page_past_the_end_is_not_found(
    path: str, client: httpx.AsyncClient, insert: Insert, headers: Any
) -> None:
    query = await insert(path, 1)
    for page in ("99", "0", "x", "9" * 30):
        answer = await _get(client, path, query, headers, also=f"page={page}")
        assert (answer.status_code, answer.json()) == (404, {"detail": "Invalid page."})


async def test_head_has_the_headers_of_get(
    path: str, client: httpx.AsyncClient, insert: Insert, headers: Any
) -> None:
    query = await insert(path, 3)
    get = await _get(client, path, query, headers, also="page_size=2")
    head = await _get(client, path, query, headers, also="page_size=2", method="HEAD")
    assert (head.status_code, head.content) == (200, b"")
    assert "content-type" not in head.headers
    for name in ("x-result-count", "link", "etag", "cache-control"):
        assert head.headers[name] == get.headers[name]


async def test_the_current_page_is_not_sent_again(
    path: str, client: httpx.AsyncClient, insert: Insert, headers: Any
) -> None:
    query = await insert(path, 1)
    answer = await _get(client, path, query, headers)
    current = headers | {"If-None-Match": answer.headers["etag"]}
    assert (await _get(client, path, query, current)).status_code == 304


async def test_a_list_needs_a_token(path: str, client: httpx.AsyncClient) -> None:
    assert (await client.get(path)).status_code == 401


async def test_an_unknown_order_is_refused(
    path: str, client: httpx.AsyncClient, app: FastAPI, insert: Insert, headers: Any
) -> None:
    parameters = app.openapi()["paths"][path]["get"]["parameters"]
    if "o" not in {parameter["name"] for parameter in parameters}:
        pytest.skip("the list has no order to choose")
    query = await insert(path, 1)
    answer = await _get(client, path, query, headers, also="o=nonsense")
    assert answer.status_code == 400
    assert answer.json() == {
        "o": ["Select a valid choice. nonsense is not one of the available choices."]
    }
    words = next(each for each in parameters if each["name"] == "o")["schema"]["items"]
    component = words["$ref"].rpartition("/")[2]
    for name in app.openapi()["components"]["schemas"][component]["enum"]:
        assert (await _get(client, path, query, headers, also=f"o={name}")).status_code == 200
