"""`token` and `user`, as an operator calls them."""

import asyncio
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection
from typer.testing import CliRunner, Result

from app import clock
from app.cli.main import cli
from app.identity.models import CustomerRole, Token, User
from app.identity.tokens import token_digest
from app.settings import Settings
from tests.support.factories import Factories

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)


async def call(settings: Settings, *arguments: str) -> Result:
    # In a thread: a command has an event loop of its own.
    return await asyncio.to_thread(
        CliRunner().invoke, cli, arguments, env={"DATABASE_URL": settings.database_url}
    )


async def test_a_token_is_made_for_a_while(
    settings: Settings, connection: AsyncConnection, make: Factories
) -> None:
    clock.freeze(NOW)
    user = await make.user(username="ada")
    arguments = ("token", "create", "ada", "--name", "laptop", "--lifetime", "90d")
    answer = await call(settings, *arguments)
    assert answer.exit_code == 0
    key = answer.stdout.strip()
    assert key not in answer.stderr
    row = (await connection.execute(select(Token).where(Token.name == "laptop"))).one()
    assert (row.user_id, row.digest) == (user.id, token_digest(key))
    assert row.expires_at == NOW + timedelta(days=90)


async def test_a_token_without_a_lifetime_never_expires(
    settings: Settings, connection: AsyncConnection, make: Factories
) -> None:
    await make.user(username="ada")
    answer = await call(settings, "token", "create", "ada")
    kept = select(Token).where(Token.digest == token_digest(answer.stdout.strip()))
    assert (await connection.execute(kept)).one().expires_at is None


@pytest.mark.parametrize("lifetime", ["90", "d", "0d", "-1d", "1y", "1.5h", "", "999999d"])
async def test_a_lifetime_that_is_none(settings: Settings, make: Factories, lifetime: str) -> None:
    await make.user(username="ada")
    answer = await call(settings, "token", "create", "ada", "--lifetime", lifetime)
    assert answer.exit_code == 2
    assert "such as 12h or 90d" in answer.stderr


async def test_tokens_are_listed_with_their_state(settings: Settings, make: Factories) -> None:
    clock.freeze(NOW)
    ada = await make.user(username="ada")
    gone = await make.user(username="gone", is_active=False)
    await make.token(ada, "a", name="old", expires_at=NOW)
    await make.token(ada, "b", name="stolen", revoked_at=NOW)
    await make.token(ada, "c", name="good", expires_at=NOW + timedelta(seconds=1))
    answer = await call(settings, "token", "list", "ada")
    states = {line.split()[2]: line.split()[-1] for line in answer.stdout.splitlines()[1:4]}
    assert states == {"good": "active", "stolen": "revoked", "old": "expired"}
    assert len(answer.stdout.splitlines()) == 5
    everyone = await call(settings, "token", "list")
    assert "user inactive" in everyone.stdout
    for user in (ada, gone):
        assert user.key not in everyone.output
        assert token_digest(user.key) not in everyone.output


async def test_a_revoked_token_is_told_once(
    settings: Settings, connection: AsyncConnection, make: Factories
) -> None:
    row = await make.token(await make.user(), "key")
    answer = await call(settings, "token", "revoke", str(row.uuid))
    assert answer.exit_code == 0
    revoked = select(Token.revoked_at).where(Token.id == row.id)
    assert (await connection.execute(revoked)).scalar_one() is not None
    again = await call(settings, "token", "revoke", str(row.uuid))
    assert (again.exit_code, again.stderr) == (1, f"There is no valid token {row.uuid}.\n")


@pytest.mark.parametrize("command", [("token", "create"), ("token", "list")])
async def test_an_unknown_user_is_refused(settings: Settings, command: tuple[str, str]) -> None:
    answer = await call(settings, *command, "nobody")
    assert (answer.exit_code, answer.stderr) == (1, "There is no user nobody.\n")


async def test_a_user_is_made_with_roles(
    settings: Settings, connection: AsyncConnection, make: Factories
) -> None:
    one, other = await make.customer(), await make.customer()
    owned = [part for each in (one, other, one) for part in ("--owner-of", str(each.uuid))]
    arguments = ("user", "create", "ada", "--email", "ada@example.com", "--full-name", "Ada L.")
    answer = await call(settings, *arguments, "--support", *owned)
    assert answer.exit_code == 0
    user = (await connection.execute(select(User))).one()
    assert user.uuid == UUID(answer.stdout.strip())
    assert (user.username, user.email, user.full_name) == ("ada", "ada@example.com", "Ada L.")
    assert (user.is_staff, user.is_support, user.is_active) == (False, True, True)
    roles = (await connection.execute(select(CustomerRole))).all()
    assert [(role.customer_id, role.role) for role in roles] == [
        (one.id, "owner"),
        (other.id, "owner"),
    ]


async def test_a_user_that_cannot_be_made(
    settings: Settings, connection: AsyncConnection, make: Factories
) -> None:
    answer = await call(settings, "user", "create", "ada", "--owner-of", str(uuid4()))
    assert answer.exit_code == 1
    assert "There is no customer" in answer.stderr
    assert (await connection.execute(select(User))).all() == []
    await make.user(username="ada")
    answer = await call(settings, "user", "create", "ada")
    assert (answer.exit_code, answer.stderr) == (1, "There is a user ada already.\n")
    assert (await call(settings, "user", "create", " ")).exit_code == 2
