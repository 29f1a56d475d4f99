"""Requests beyond a limit are refused, with the documented answer; others are not."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest
from fastapi import FastAPI
from limits import parse

from app.main import create_app
from app.settings import Settings
from tests.support.clients import client_of
from tests.support.factories import Factories

LIST = "/api/invoices/?field=uuid"
BAD = {"Authorization": "Token not-a-good-one"}


@asynccontextmanager
async def limited(settings: Settings, **rates: str | None) -> AsyncIterator[FastAPI]:
    """Yield a started application with these rates; others are off."""
    every = dict.fromkeys(("token", "address", "failed_logins")) | rates
    update = {f"rate_limit_{name}": rate and parse(rate) for name, rate in every.items()}
    app = create_app(settings.model_copy(update=update))
    async with app.router.lifespan_context(app):
        yield app


def shown(answer: httpx.Response) -> tuple[int, str | None, str | None]:
    """Return status, remaining requests and Retry-After."""
    left = answer.headers.get("ratelimit")
    return answer.status_code, left and left.partition(";t=")[0], answer.headers.get("retry-after")


async def test_a_token_has_its_own_limit(settings: Settings, make: Factories) -> None:
    user = await make.staff()
    await make.token(user, "another")
    async with limited(settings, token="2/minute") as app, client_of(app) as client:
        for left in (1, 0):
            answer = await client.get(LIST, headers=user.headers)
            assert shown(answer) == (200, f'"token";r={left}', None)
            assert answer.headers["ratelimit-policy"] == '"token";q=2;w=60'
        answer = await client.get(LIST, headers=user.headers)
        assert shown(answer) == (429, '"token";r=0', "60")
        assert answer.headers["ratelimit"].endswith(";t=60")
        assert answer.json() == {
            "detail": "Request was throttled. Expected available in 60 seconds."
        }
        assert answer.headers["x-request-id"]
        # By another token of the same user, from another address, or without any.
        assert shown(await client.get(LIST, headers={"Authorization": "Token another"}))[0] == 200
        async with client_of(app, "192.0.2.1") as elsewhere:
            assert shown(await elsewhere.get(LIST, headers=user.headers))[0] == 429
        assert shown(await client.get(LIST))[0] == 401


async def test_a_client_that_waits_is_allowed_again(settings: Settings, make: Factories) -> None:
    user = await make.staff()
    async with limited(settings, token="1/second") as app, client_of(app) as client:
        statuses = [(await client.get(LIST, headers=user.headers)).status_code for _ in range(2)]
        answer = await client.get(LIST, headers=user.headers)
        assert [*statuses, answer.status_code] == [200, 429, 429]
        await asyncio.sleep(int(answer.headers["retry-after"]) + 0.1)
        assert (await client.get(LIST, headers=user.headers)).status_code == 200


async def test_an_address_has_a_limit_for_requests_without_a_valid_token(
    settings: Settings, make: Factories
) -> None:
    user = await make.staff()
    async with limited(settings, address="4/minute") as app, client_of(app) as client:
        for _ in range(5):
            assert shown(await client.get(LIST, headers=user.headers)) == (200, None, None)
            assert shown(await client.get("/health/live")) == (200, None, None)
        expected = [
            (LIST, {}, 401),
            (LIST, BAD, 401),
            ("/api/docs", BAD, 200),
            ("/nowhere", {}, 404),
        ]
        for left, (path, headers, status) in zip((3, 2, 1, 0), expected, strict=True):
            answer = await client.get(path, headers=headers)
            assert shown(answer) == (status, f'"address";r={left}', None), path
        for path, headers, _ in expected:
            assert shown(await client.get(path, headers=headers))[:2] == (429, '"address";r=0')
        # It is the address that is refused, whatever it sends; whoever watches is not.
        assert shown(await client.get(LIST, headers=user.headers))[0] == 429
        assert shown(await client.get("/health/live")) == (200, None, None)
        async with client_of(app, "192.0.2.1") as elsewhere:
            assert shown(await elsewhere.get(LIST))[0] == 401


async def test_after_invalid_tokens_an_address_is_refused_before_its_token_is_looked_up(
    settings: Settings, make: Factories
) -> None:
    user = await make.staff()
    async with limited(settings, failed_logins="2/minute") as app, client_of(app) as client:
        for header in ("Token guess", "Basic dXNlcjpwYXNz"):
            answer = await client.get(LIST, headers={"Authorization": header})
            assert shown(answer) == (401, None, None)
        for headers in (BAD, user.headers):
            answer = await client.get(LIST, headers=headers)
            assert shown(answer) == (429, '"failed-logins";r=0', "60")
        # Paths that need no token have no limit.
        assert shown(await client.get(LIST)) == (401, None, None)
        assert shown(await client.get("/api/docs", headers=BAD)) == (200, None, None)


@pytest.mark.parametrize(
    ("address", "neighbour", "statuses"),
    [
        ("2001:db8::1", "2001:db8::ffff:2", (401, 429)),
        ("2001:db8::1", "2001:db8:0:1::1", (401, 401)),
        ("::ffff:192.0.2.1", "192.0.2.1", (401, 429)),
        ("a socket", "a socket", (401, 401)),
    ],
)
async def test_addresses_of_one_network_share_a_limit(
    settings: Settings, address: str, neighbour: str, statuses: tuple[int, int]
) -> None:
    async with limited(settings, address="1/minute") as app:
        found = []
        for one in (address, neighbour):
            async with client_of(app, one) as client:
                found.append((await client.get(LIST)).status_code)
    assert tuple(found) == statuses


async def test_server_errors_do_not_count(settings: Settings, make: Factories) -> None:
    user = await make.staff()
    nowhere = settings.model_copy(update={"database_url": "postgresql+asyncpg:///none?host=/none"})
    async with limited(nowhere, address="1/minute") as app, client_of(app) as client:
        for _ in range(3):
            assert shown(await client.get(LIST, headers=user.headers))[:2] == (503, None)


async def test_without_limits_there_are_no_headers(settings: Settings, make: Factories) -> None:
    user = await make.staff()
    async with limited(settings) as app, client_of(app) as client:
        for headers in (user.headers, BAD, {}):
            answer = await client.get(LIST, headers=headers)
            assert "ratelimit-policy" not in answer.headers
