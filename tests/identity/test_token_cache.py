"""The cache of token lookups: no second query, and no entry that outlives its five seconds."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import event, text
from sqlalchemy.ext.asyncio import AsyncConnection

from app import clock
from app.identity.caller import Caller
from app.identity.tokens import (
    LOOKUP_LIFETIME,
    MAX_LOOKUPS,
    TokenLookup,
    new_token_cache,
    token_digest,
)
from tests.support.factories import Factories, UserRow

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
URL = "/api/invoices/?field=uuid"
STAFF_URL = "/api/invoices/00000000-0000-4000-8000-000000000000/set_backend_id/"


@pytest.fixture(autouse=True)
def _now() -> None:
    clock.freeze(NOW)


def at(seconds: float) -> None:
    clock.freeze(NOW + timedelta(seconds=seconds))


async def status(client: httpx.AsyncClient, user: UserRow) -> int:
    return (await client.get(URL, headers=user.headers)).status_code


async def test_a_second_request_looks_up_no_token_and_takes_no_connection_for_it(
    app: FastAPI, make: Factories, client: httpx.AsyncClient, statements: list[str]
) -> None:
    user = await make.staff()
    taken = 0

    def note(*_: Any) -> None:
        nonlocal taken
        taken += 1

    event.listen(app.state.database.engine.sync_engine.pool, "checkout", note)
    assert await status(client, user) == 200
    first, first_taken = list(statements), taken
    statements.clear()
    at(LOOKUP_LIFETIME - 0.001)
    assert await status(client, user) == 200
    assert sum("tokens" in statement for statement in first) == 1
    assert statements == [statement for statement in first if "tokens" not in statement]
    assert taken == first_taken + (first_taken - 1)


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE tokens SET revoked_at = :now",
        "UPDATE users SET is_active = false",
        "DELETE FROM tokens",
        "DELETE FROM users",
    ],
)
async def test_a_token_is_refused_five_seconds_after_it_was_revoked_or_deleted(
    change: str, make: Factories, client: httpx.AsyncClient, connection: AsyncConnection
) -> None:
    user = await make.staff()
    assert await status(client, user) == 200
    await connection.execute(text(change), {"now": NOW} if ":now" in change else {})
    at(3.999)
    assert await status(client, user) == 200  # allowed, but not guaranteed
    at(4)
    assert await status(client, user) == 401
    at(5)
    assert await status(client, user) == 401


async def test_staff_rights_end_within_five_seconds(
    make: Factories, client: httpx.AsyncClient, connection: AsyncConnection
) -> None:
    user = await make.staff()

    async def answer() -> int:
        url, body = STAFF_URL, {"backend_id": "x"}
        return (await client.post(url, headers=user.headers, json=body)).status_code

    assert await answer() == 404
    await connection.execute(text("UPDATE users SET is_staff = false"))
    at(5)
    assert await answer() == 403


async def test_use_does_not_extend_the_lifetime_of_a_lookup(
    make: Factories, client: httpx.AsyncClient, connection: AsyncConnection
) -> None:
    user = await make.staff()
    assert await status(client, user) == 200
    await connection.execute(text("UPDATE tokens SET revoked_at = :now"), {"now": NOW})
    seen = []
    for second in range(7):
        at(second)
        seen.append(await status(client, user))
    assert seen == [200, 200, 200, 200, 401, 401, 401]


async def test_the_lifetime_starts_before_the_query(
    app: FastAPI, make: Factories, client: httpx.AsyncClient, connection: AsyncConnection
) -> None:
    """A lookup that takes three seconds is valid for one more."""
    user = await make.staff()

    def slow(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if "tokens" in statement:
            at(3)

    event.listen(app.state.database.engine.sync_engine, "after_cursor_execute", slow)
    assert await status(client, user) == 200
    event.remove(app.state.database.engine.sync_engine, "after_cursor_execute", slow)
    await connection.execute(text("UPDATE tokens SET revoked_at = :now"), {"now": NOW})
    at(3.999)
    assert await status(client, user) == 200
    at(4)
    assert await status(client, user) == 401


async def test_a_cached_token_expires_exactly_on_time(
    make: Factories, client: httpx.AsyncClient
) -> None:
    user = await make.staff()
    await make.token(user, "ending", expires_at=NOW + timedelta(seconds=1))
    headers = {"Authorization": "Token ending"}
    assert (await client.get(URL, headers=headers)).status_code == 200
    at(0.999999)
    assert (await client.get(URL, headers=headers)).status_code == 200
    at(1)
    answer = await client.get(URL, headers=headers)
    assert (answer.status_code, answer.json()) == (401, {"detail": "Token has expired."})


async def test_refused_tokens_are_not_cached(
    app: FastAPI, make: Factories, client: httpx.AsyncClient, connection: AsyncConnection
) -> None:
    user = await make.staff()
    await connection.execute(text("UPDATE users SET is_active = false"))
    early = {"Authorization": "Token early"}
    assert await status(client, user) == 401
    assert (await client.get(URL, headers=early)).status_code == 401
    assert len(app.state.token_cache) == 0
    await connection.execute(text("UPDATE users SET is_active = true"))
    await make.token(user, "early")
    assert await status(client, user) == 200
    assert (await client.get(URL, headers=early)).status_code == 200
    assert len(app.state.token_cache) == 2


async def test_the_cache_does_not_hold_the_key(
    app: FastAPI, make: Factories, client: httpx.AsyncClient
) -> None:
    user = await make.staff()
    assert await status(client, user) == 200
    assert app.state.token_cache.get(user.key) is None
    assert app.state.token_cache[token_digest(user.key)].caller.user_id == user.id


@pytest.fixture
def lookup() -> Callable[[int], TokenLookup]:
    def build(user_id: int) -> TokenLookup:
        caller = Caller(
            user_id, UUID(int=user_id), "user", token="", is_staff=False, is_support=False
        )
        return TokenLookup(clock.monotonic(), caller, expires_at=NOW + timedelta(days=1))

    return build


def test_the_least_recently_used_token_is_evicted(lookup: Callable[[int], TokenLookup]) -> None:
    cache = new_token_cache(maxsize=3)
    for number in (1, 2, 3):
        cache[str(number)] = lookup(number)
    assert cache.get("1") == lookup(1)
    cache["4"] = lookup(4)
    assert sorted(cache) == ["1", "3", "4"]


def test_the_size_of_the_cache_is_limited(lookup: Callable[[int], TokenLookup]) -> None:
    cache = new_token_cache()
    for number in range(MAX_LOOKUPS + 10):
        cache[str(number)] = lookup(number)
    assert len(cache) == MAX_LOOKUPS


def test_an_expired_lookup_is_removed(lookup: Callable[[int], TokenLookup]) -> None:
    cache = new_token_cache()
    cache["a"] = lookup(1)
    at(LOOKUP_LIFETIME)
    assert cache.get("a") is None
    assert len(cache) == 0
