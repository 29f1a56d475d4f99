"""Tokens seen moments ago: what is not asked again, and what is never believed too long."""

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
from app.identity.token_cache import BOUND, LIFE, Holder, TokenCache
from app.identity.tokens import digest
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


async def test_a_second_request_asks_for_no_token_and_needs_no_connection_for_it(
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
    at(LIFE - 0.001)
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
async def test_what_ends_a_token_ends_it_within_five_seconds(
    change: str, make: Factories, client: httpx.AsyncClient, connection: AsyncConnection
) -> None:
    user = await make.staff()
    assert await status(client, user) == 200
    await connection.execute(text(change), {"now": NOW} if ":now" in change else {})
    at(3.999)
    assert await status(client, user) == 200  # allowed, not promised
    at(4)
    assert await status(client, user) == 401
    at(5)
    assert await status(client, user) == 401


async def test_being_staff_ends_within_five_seconds(
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


async def test_use_does_not_prolong_it(
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


async def test_the_time_counts_from_before_the_question(
    app: FastAPI, make: Factories, client: httpx.AsyncClient, connection: AsyncConnection
) -> None:
    """An answer that takes three seconds to come is good for one more."""
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


async def test_expiry_is_exact(make: Factories, client: httpx.AsyncClient) -> None:
    user = await make.staff()
    await make.token(user, "ending", expires_at=NOW + timedelta(seconds=1))
    headers = {"Authorization": "Token ending"}
    assert (await client.get(URL, headers=headers)).status_code == 200
    at(0.999999)
    assert (await client.get(URL, headers=headers)).status_code == 200
    at(1)
    answer = await client.get(URL, headers=headers)
    assert (answer.status_code, answer.json()) == (401, {"detail": "Token has expired."})


async def test_a_refusal_is_not_remembered(
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


async def test_the_key_itself_is_not_kept(
    app: FastAPI, make: Factories, client: httpx.AsyncClient
) -> None:
    user = await make.staff()
    assert await status(client, user) == 200
    assert app.state.token_cache.get(user.key) is None
    assert app.state.token_cache.get(digest(user.key)).user_id == user.id


@pytest.fixture
def holder() -> Callable[[int], Holder]:
    return lambda user_id: Holder(
        user_id, UUID(int=user_id), "user", "", is_staff=False, is_support=False, expires_at=None
    )


def test_the_oldest_make_room(holder: Callable[[int], Holder]) -> None:
    cache = TokenCache(bound=3)
    for number in (1, 2, 3):
        cache.keep(str(number), holder(number), clock.monotonic())
    cache.keep("1", holder(10), clock.monotonic())  # looked up anew, and so no longer the oldest
    cache.keep("4", holder(4), clock.monotonic())
    kept = {key: cache.get(key) for key in "1234"}
    assert kept == {"1": holder(10), "2": None, "3": holder(3), "4": holder(4)}
    assert len(cache) == 3


def test_there_is_a_bound(holder: Callable[[int], Holder]) -> None:
    cache = TokenCache()
    for number in range(BOUND + 10):
        cache.keep(str(number), holder(number), clock.monotonic())
    assert len(cache) == BOUND


def test_what_is_past_its_time_is_gone(holder: Callable[[int], Holder]) -> None:
    cache = TokenCache()
    cache.keep("a", holder(1), clock.monotonic())
    at(LIFE)
    assert cache.get("a") is None
    assert len(cache) == 0
