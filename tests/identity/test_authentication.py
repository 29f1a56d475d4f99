"""Authentication: the forms of the header, and which tokens are valid."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import httpx
import pytest
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from app import clock
from app.identity import tokens
from app.identity.models import Token
from tests.support.factories import Factories

URL = "/api/invoices/?field=uuid"
MISSING = "Authentication credentials were not provided."
EMPTY = "Invalid token header. No credentials provided."
NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
SPACES = "Invalid token header. Token string should not contain spaces."


async def refusal(client: httpx.AsyncClient, header: str | None) -> str:
    headers = {} if header is None else {"Authorization": header}
    answer = await client.get(URL, headers=headers)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Token"
    detail: str = answer.json()["detail"]
    return detail


async def test_a_header_without_a_key_is_refused(client: httpx.AsyncClient) -> None:
    details = {
        header: await refusal(client, header)
        for header in (
            None,
            "",
            "Basic abc",
            "Token",
            "Bearer",
            "token  ",
            "Token a b",
            "Token x",
            "bearer token",
            "Bearer Token a b",
            "Token Token x",
            "Token Bearer x",
            "Bearer Bearer x",
        )
    }
    assert details == {
        None: MISSING,
        "": MISSING,
        "Basic abc": MISSING,
        "Token": EMPTY,
        "Bearer": EMPTY,
        "token  ": EMPTY,
        "Token a b": SPACES,
        "Token x": "Invalid token.",
        "bearer token": EMPTY,
        "Bearer Token a b": SPACES,
        "Token Token x": SPACES,
        "Token Bearer x": SPACES,
        "Bearer Bearer x": SPACES,
    }


@pytest.mark.parametrize("key", [b"\xff\xfe", b"\xc3\xa4", b"x" * 4000])
async def test_unusual_keys_are_invalid(key: bytes, client: httpx.AsyncClient) -> None:
    answer = await client.get(URL, headers={b"Authorization": b"Token " + key})
    assert answer.json() == {"detail": "Invalid token."}


async def test_a_valid_key_is_accepted_in_every_scheme(
    make: Factories, client: httpx.AsyncClient, statements: list[str]
) -> None:
    user = await make.staff()
    schemes = ("Token", "Bearer", "token", "BEARER", " Token ", "Bearer Token", "bearer  TOKEN")
    for scheme in schemes:
        headers = {"Authorization": f"{scheme} {user.key}"}
        assert (await client.get(URL, headers=headers)).status_code == 200
    assert sum("tokens" in text for text in statements) == 1  # then from the cache


async def test_a_key_in_the_query_is_ignored(make: Factories, client: httpx.AsyncClient) -> None:
    user = await make.staff()
    assert (await client.get(f"{URL}&token={user.key}")).status_code == 401


async def test_expired_and_revoked_tokens_are_refused(
    make: Factories, client: httpx.AsyncClient
) -> None:
    clock.freeze(NOW)
    user = await make.staff()
    await make.token(user, "expired", expires_at=NOW)
    await make.token(user, "revoked", revoked_at=NOW)
    await make.token(user, "lasting", expires_at=NOW + timedelta(seconds=1))
    gone = await make.user(is_staff=True, is_active=False)
    await make.token(gone, "both", expires_at=NOW)
    assert await refusal(client, "Token expired") == "Token has expired."
    assert await refusal(client, "Token revoked") == "Invalid token."
    assert await refusal(client, f"Token {gone.key}") == "User inactive or deleted."
    assert await refusal(client, "Token both") == "User inactive or deleted."
    lasting = {"Authorization": "Token lasting"}
    assert (await client.get(URL, headers=lasting)).is_success
    clock.freeze(NOW + timedelta(seconds=1))
    assert await refusal(client, "Token lasting") == "Token has expired."


async def test_the_token_is_checked_before_the_parameters(client: httpx.AsyncClient) -> None:
    for path in ("?state=bogus", "?format=xml", "abc/", "growth/?customers_count=x", "abc/items/"):
        assert (await client.get(f"/api/invoices/{path}")).status_code == 401


async def test_a_created_token_is_valid_until_it_is_revoked(
    make: Factories, client: httpx.AsyncClient, connection: AsyncConnection
) -> None:
    clock.freeze(NOW)
    user = await make.staff()
    key = await tokens.create(connection, user.id, name="laptop", lifetime=timedelta(days=1))
    row = (await connection.execute(select(Token).where(Token.name == "laptop"))).one()
    assert key not in map(str, row)
    assert row.digest == tokens.token_digest(key)
    assert row.expires_at - row.created_at == timedelta(days=1)
    headers = {"Authorization": f"Token {key}"}
    assert (await client.get(URL, headers=headers)).is_success
    assert await tokens.revoke(connection, row.uuid)
    assert not await tokens.revoke(connection, row.uuid)
    assert not await tokens.revoke(connection, uuid4())
    clock.freeze(NOW + timedelta(seconds=5))
    assert (await client.get(URL, headers=headers)).status_code == 401
    forever = await tokens.create(connection, user.id, name="", lifetime=None)
    assert (await client.get(URL, headers={"Authorization": f"Token {forever}"})).is_success


@pytest.mark.parametrize("format_", ["xml", "api", "JSON"])
async def test_a_format_other_than_json_is_not_found(
    format_: str, make: Factories, client: httpx.AsyncClient
) -> None:
    headers = (await make.user()).headers
    answer = await client.get(f"/api/invoices/?format={format_}&state=bogus", headers=headers)
    assert (answer.status_code, answer.json()) == (404, {"detail": "Not found."})
    for good in ("json", ""):
        assert (await client.get(f"/api/invoices/?format={good}", headers=headers)).is_success
