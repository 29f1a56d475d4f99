"""Security headers of responses, and cross-origin requests."""

import re

import httpx
import pytest
from fastapi import FastAPI

from app.main import create_app
from app.settings import Settings
from tests.support.clients import client_of
from tests.support.factories import Factories

DATA = {
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}
PAGE = "https://portal.example.com"


def held(answer: httpx.Response) -> dict[str, str]:
    """Return the security headers of a response, which has each once."""
    names = [name for name, _ in answer.headers.multi_items()]
    assert len(set(names)) == len(names)
    return {name: answer.headers[name] for name in DATA if name in answer.headers}


async def test_every_response_has_security_headers(
    client: httpx.AsyncClient, app: FastAPI, make: Factories
) -> None:
    headers = (await make.staff()).headers
    read = await client.get("/api/invoices/", headers=headers)
    assert read.headers["cache-control"] == "private, no-cache"
    known = {**headers, "If-None-Match": read.headers["etag"]}
    assert (await client.get("/api/invoices/", headers=known)).status_code == 304
    for answer in (
        read,
        await client.head("/api/invoices/", headers=headers),
        await client.get("/api/invoices/", headers=known),
        await client.get("/api/invoices", headers=headers),
        await client.get("/api/docs/assets/swagger-ui.css"),
    ):
        assert held(answer) == DATA, answer.url
        assert "no-store" not in answer.headers.get("cache-control", "") or answer.is_redirect

    app.state.token_cache = None  # so that the service fails
    for answer, status in (
        (await client.get("/api/invoices/"), 401),
        (await client.get("/nowhere"), 404),
        (await client.put("/api/invoices/"), 405),
        (await client.get("/api/invoices/" + "x" * 9000), 414),
        (await client.get("/api/invoices/", headers=headers), 500),
        (await client.get("/api/schema.json"), 200),
        (await client.get("/health/live"), 200),
    ):
        assert answer.status_code == status
        assert held(answer) == DATA, answer.url
        assert answer.headers["cache-control"] == "no-store"
        assert "strict-transport-security" not in answer.headers


async def test_a_response_keeps_its_own_headers(client: httpx.AsyncClient) -> None:
    """The documentation page has its own policy, with a digest of each script."""
    page = await client.get("/api/docs")
    policy = held(page)["content-security-policy"]
    assert "frame-ancestors 'none'" in policy
    assert policy.count("'sha256-") == len(re.findall("<script>", page.text)) == 1
    assert "unsafe-inline" not in policy.split("style-src")[0]
    assert held(page) == {**DATA, "content-security-policy": policy}


@pytest.mark.parametrize(
    ("peer", "protocol", "expected"),
    [
        ("10.0.0.1", "https", "max-age=31536000"),
        ("10.0.0.1", "http", None),
        ("192.0.2.1", "https", None),
    ],
)
async def test_https_is_required_if_a_trusted_gateway_uses_it(
    settings: Settings, peer: str, protocol: str, expected: str | None
) -> None:
    app = create_app(Settings(**{**settings.model_dump(), "trusted_proxies": "10.0.0.0/8"}))
    async with app.router.lifespan_context(app), client_of(app, peer) as client:
        answer = await client.get("/nowhere", headers={"X-Forwarded-Proto": protocol})
    assert answer.headers.get("strict-transport-security") == expected


async def test_cross_origin_requests_are_refused_by_default(client: httpx.AsyncClient) -> None:
    asking = {"Origin": PAGE, "Access-Control-Request-Method": "GET"}
    for answer in (
        await client.get("/api/invoices/", headers={"Origin": PAGE}),
        await client.options("/api/invoices/", headers=asking),
    ):
        assert not [name for name in answer.headers if name.startswith("access-control-")]


async def test_pages_of_allowed_origins_may_call(settings: Settings, make: Factories) -> None:
    headers = (await make.staff()).headers
    origins = f"{PAGE}, http://localhost:4200"
    app = create_app(Settings(**{**settings.model_dump(), "cors_allow_origins": origins}))
    async with app.router.lifespan_context(app), client_of(app) as client:
        for method in ("GET", "HEAD", "POST"):
            asking = {
                "Origin": PAGE,
                "Access-Control-Request-Method": method,
                "Access-Control-Request-Headers": "authorization, content-type, if-match,"
                " if-none-match, idempotency-key, x-request-id, x-impersonated-user-uuid",
            }
            asked = await client.options("/api/invoices/", headers=asking)
            assert asked.status_code == 200, asked.text
            assert asked.headers["access-control-allow-origin"] == PAGE
            assert held(asked) == DATA
        assert (await client.options("/", headers={**asking, "Origin": "null"})).status_code == 400

        calls = [("/api/invoices/", headers, 200), ("/api/invoices/", {}, 401)]
        calls += [("/nowhere", {}, 404), ("/" + "x" * 9000, {}, 414)]
        for path, sent, status in calls:
            answer = await client.get(path, headers={**sent, "Origin": PAGE})
            assert answer.status_code == status
            assert answer.headers["access-control-allow-origin"] == PAGE
            assert "access-control-allow-credentials" not in answer.headers
            readable = answer.headers["access-control-expose-headers"].lower().split(", ")
            assert {"x-result-count", "link", "etag", "retry-after", "ratelimit"} <= set(readable)
            assert "Origin" in answer.headers["vary"]
        app.state.token_cache = None
        failed = await client.get("/api/invoices/", headers={**headers, "Origin": PAGE})
        assert failed.status_code == 500
        assert failed.headers["access-control-allow-origin"] == PAGE
        other = await client.get("/nowhere", headers={"Origin": "https://elsewhere.example"})
        assert "access-control-allow-origin" not in other.headers
