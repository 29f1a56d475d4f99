"""The billing screens of Waldur's web interface: their requests, and their needs of the answers."""

from collections.abc import Iterator
from datetime import date
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from app import clock
from app.billing.periods import Period
from app.settings import Settings
from tests.contract.screens import SCREENS, Request
from tests.support.clients import client_of
from tests.support.factories import Factories
from tests.support.world import World, make_world

ORIGIN = "https://portal.example.com"
PDF = b"%PDF-1.4\n1 0 obj<</Type/Catalog>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF\n"
COLLECTIONS = {
    "customer": "customers",
    "other customer": "customers",
    "other project": "projects",
    "offering": "marketplace-provider-offerings",
    "earlier": "invoices",
    "profile": "payment-profiles",
}
"""The collections of the records whose URLs the screens send."""


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """Settings of a service beside a web interface at another origin, with every operation."""
    update = {"cors_allow_origins": (ORIGIN,), "customer_affiliates": True}
    return settings.model_copy(update=update)


def names_of(world: World, base_url: str) -> dict[str, str]:
    """Return the values of the names in requests."""
    now = Period.containing(clock.now().date())
    names = {name.replace(" ", "_"): str(each.uuid) for name, each in world.records.items()}
    for name, collection in COLLECTIONS.items():
        key = name.replace(" ", "_")
        names[f"{key}_url"] = f"{base_url}/api/{collection}/{names[key]}/"
    return names | {
        "year": str(now.year),
        "month": str(now.month),
        "next_year": date(now.year + 1, 1, 1).isoformat(),
    }


def filled(value: Any, names: dict[str, str]) -> Any:
    """Return a body with the values of its names."""
    if isinstance(value, str):
        return value.format(**names)
    if isinstance(value, list):
        return [filled(each, names) for each in value]
    if isinstance(value, dict):
        return {key: filled(each, names) for key, each in value.items()}
    return value


def missing(record: Any, request: Request) -> Iterator[str]:
    """Yield each need of the screen that a record does not meet."""
    for path, check in request.needs.items():
        value = record
        for key in path.split("."):
            value = value.get(key, ...) if isinstance(value, dict) else ...
        if value is ... or not check(value):
            yield f"{path} is {'missing' if value is ... else repr(value)}"


async def send(
    client: httpx.AsyncClient, request: Request, names: dict[str, str], headers: dict[str, str]
) -> httpx.Response:
    """Send a request as a browser does: preflight first, then with the headers of the page."""
    url = filled(f"{request.path}?{request.query}".rstrip("?"), names)
    preflight = await client.options(
        url,
        headers={
            "Origin": ORIGIN,
            "Access-Control-Request-Method": request.method,
            "Access-Control-Request-Headers": "authorization,content-type,x-impersonated-user-uuid",
        },
    )
    assert preflight.status_code == 200, preflight.text
    body: dict[str, Any] = {}
    if request.json is not None:
        body["json"] = filled(request.json, names)
    if request.form is not None:
        body["files"] = {
            name: ("proof.pdf", PDF, "application/pdf") if value == "pdf" else (None, value)
            for name, value in filled(request.form, names).items()
        }
    response = await client.request(request.method, url, headers=headers, **body)
    assert response.is_success, (request.method, url, response.status_code, response.text)
    assert response.headers["access-control-allow-origin"] == ORIGIN
    return response


async def read_further_pages(
    client: httpx.AsyncClient, response: httpx.Response, headers: dict[str, str]
) -> list[Any]:
    """Return the rows of a page and of those after it."""
    found: list[Any] = response.json()
    while "next" in response.links:
        response = await client.get(response.links["next"]["url"], headers=headers)
        found += response.json()
    return found


@pytest.mark.parametrize("screen", SCREENS)
async def test_a_screen_finds_what_it_needs(screen: str, app: FastAPI, make: Factories) -> None:
    world = await make_world(make)
    headers = {
        **world.staff.headers,
        "Origin": ORIGIN,
        "X-IMPERSONATED-USER-UUID": str(world.staff.uuid),
    }
    async with client_of(app) as client:
        names = names_of(world, str(client.base_url).rstrip("/"))
        for request in SCREENS[screen]:
            response = await send(client, request, names, headers)
            answer: Any = response.json() if response.content else None
            records: list[Any] = [answer]
            if request.is_list:
                count = int(response.headers["x-result-count"])
                exposed = response.headers["access-control-expose-headers"].lower()
                assert {"x-result-count", "link"} <= set(exposed.replace(" ", "").split(","))
                assert len(answer) == min(count, int(response.url.params.get("page_size", 10))) > 0
                records = answer
                if request.all_pages:
                    assert len(await read_further_pages(client, response, headers)) == count
            for record in records:
                assert not list(missing(record, request)), (request.path, record)
            for name, key in request.saves.items():
                names[name] = records[0][key]
