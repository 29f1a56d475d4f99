"""A database of several hosts: connections go to the one that accepts changes."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import quote

import pytest
from sqlalchemy import make_url, text

from app.database import hosts
from app.database.engine import Database
from app.database.errors import (
    ConnectionLost,
    DatabaseReadOnly,
    DatabaseUnavailable,
    NoMatchingHost,
)
from app.main import create_app
from app.server_urls import writable_postgresql_url
from app.settings import Settings
from tests.support.clients import client_of
from tests.support.commands import run_command
from tests.support.pgbouncer import pgbouncer
from tests.support.read_only import made_read_only
from tests.support.server import free_port


@asynccontextmanager
async def hanging_host() -> AsyncIterator[str]:
    """A host that accepts connections and never answers, as a server that hangs."""
    done = asyncio.Event()

    async def hang(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await done.wait()
        writer.close()

    async with await asyncio.start_server(hang, "127.0.0.1", 0) as listening:
        yield f"127.0.0.1:{listening.sockets[0].getsockname()[1]}"
        done.set()


def with_hosts(settings: Settings, *others: str, wanted: str = "read-write") -> Settings:
    """Return settings in which other hosts stand before the database's own."""
    url = make_url(settings.database_url)
    own = f"{quote(str(url.query['host']), safe='')}:{url.query.get('port', 5432)}"
    several = (
        f"postgresql://{url.username}@{','.join((*others, own))}/{url.database}"
        f"?target_session_attrs={wanted}"
    )
    update = {"database_url": writable_postgresql_url(several), "database_pool_size": 2}
    return settings.model_copy(update=update)


async def answer(database: Database) -> int:
    async with database.reading() as connection:
        return int((await connection.execute(text("SELECT 1"))).scalar_one())


async def test_a_host_that_refuses_connections_is_passed_over(settings: Settings) -> None:
    database = Database(with_hosts(settings, f"127.0.0.1:{free_port()}"))
    assert await answer(database) == 1
    await database.close()


async def test_a_host_that_hangs_costs_a_moment_and_only_once(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hosts, "PATIENCE", 0.05)
    async with hanging_host() as host:
        database = Database(with_hosts(settings, host))
        assert await answer(database) == 1
        # From now on the host that accepted a connection is asked first, at once.
        monkeypatch.setattr(hosts, "PATIENCE", 60)
        async with database.reading(), database.reading() as another:
            await another.execute(text("SELECT 1"))
        await database.close()


async def test_without_any_answer_the_timeout_ends_the_wait(settings: Settings) -> None:
    async with hanging_host() as first, hanging_host() as second:
        url = writable_postgresql_url(f"postgresql://postgres@{first},{second}/postgres")
        update = {"database_url": url, "database_pool_timeout": 1}
        database = Database(settings.model_copy(update=update))
        with pytest.raises(ConnectionLost):
            await answer(database)


async def test_while_one_hangs_the_others_are_asked_again(
    settings: Settings, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hosts, "PATIENCE", 0.05)
    async with hanging_host() as host, made_read_only(settings.database_url) as reset:
        several = Database(with_hosts(settings, host))
        waiting = asyncio.create_task(answer(several))
        await asyncio.sleep(0.3)
        assert not waiting.done()
        await reset()
        assert await waiting == 1
        await several.close()


async def test_without_a_primary_the_service_is_not_ready(
    settings: Settings, database: Database
) -> None:
    closed = f"127.0.0.1:{free_port()}"
    app = create_app(with_hosts(settings, closed))
    async with (
        made_read_only(settings.database_url) as reset,
        app.router.lifespan_context(app),
        client_of(app) as client,
    ):
        with pytest.raises(NoMatchingHost, match=f"{closed}: .*; .*: it has another role"):
            await answer(app.state.database)
        ready = await client.get("/health/ready")
        assert ready.status_code == 503
        assert ready.json() == {"status": "unavailable", "database": "no primary", "redis": "ok"}
        listed = await client.get("/api/invoices/", headers={"Authorization": "Token x"})
        assert (listed.status_code, listed.headers["Retry-After"]) == (503, "5")
        await reset()
        assert (await client.get("/health/ready")).json()["database"] == "ok"


async def test_hosts_may_be_poolers(settings: Settings) -> None:
    closed = f"127.0.0.1:{free_port()}"
    async with pgbouncer(settings.database_url, connections=2) as url:
        pooled = settings.model_copy(update={"database_url": url, "database_pgbouncer": True})
        database = Database(with_hosts(pooled, closed))
        assert await answer(database) == 1
        await database.close()
        async with made_read_only(settings.database_url):
            database = Database(with_hosts(pooled, closed))
            with pytest.raises(DatabaseReadOnly):
                async with database.transaction() as connection:
                    await connection.execute(text("CREATE TABLE refused ()"))
            await database.close()


async def test_the_refusal_of_a_server_is_reported(settings: Settings) -> None:
    named = with_hosts(settings, f"127.0.0.1:{free_port()}")
    url = make_url(named.database_url).set(database="nothing").render_as_string(hide_password=False)
    database = Database(named.model_copy(update={"database_url": url}))
    with pytest.raises(DatabaseUnavailable, match='database "nothing" does not exist'):
        await answer(database)


async def test_commands_take_several_hosts(settings: Settings, database: Database) -> None:
    url = with_hosts(settings, f"127.0.0.1:{free_port()}").database_url
    migrated = await asyncio.to_thread(run_command, "migrate", DATABASE_URL=url)
    assert (migrated.exit_code, migrated.stderr) == (0, ""), migrated.output
    async with made_read_only(settings.database_url):
        refused = await asyncio.to_thread(run_command, "token", "list", DATABASE_URL=url)
    assert refused.exit_code == 1
    assert "it has another role" in refused.stderr
