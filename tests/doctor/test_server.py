"""The checks of the PostgreSQL server."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from app import clock
from app.database.engine import Database
from app.doctor import runner, server
from app.doctor.check_result import Level
from app.doctor.configuration import Configuration
from app.settings import Settings
from tests.doctor.results import collect, is_well, only
from tests.support.databases import administer, url_of_database
from tests.support.pgbouncer import pgbouncer


async def test_the_test_server_is_well(database: Database, settings: Settings) -> None:
    for check in (server.version, server.encoding, server.time, server.timeouts):
        assert is_well(await collect(check(database, settings))), check
    assert is_well(await collect(server.connections(database, settings, 2)))


async def test_more_processes_than_connections_are_reported(
    database: Database, settings: Settings
) -> None:
    message = only(await collect(server.connections(database, settings, 500)), Level.WRONG)
    assert "500 processes take up to 3000" in message


async def test_a_nearly_full_server_is_reported(
    database: Database, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "_NEARLY_FULL", 0)
    only(await collect(server.connections(database, settings, 2)), Level.WARNING)


async def test_an_old_server_is_reported(
    database: Database, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "OLDEST", 99)
    assert "too old" in only(await collect(server.version(database, settings)), Level.WRONG)


@pytest.mark.parametrize(
    ("offset", "level"),
    [(timedelta(seconds=5), Level.WARNING), (-timedelta(minutes=1), Level.WRONG)],
)
async def test_a_clock_that_differs_is_reported(
    database: Database,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
    offset: timedelta,
    level: Level,
) -> None:
    other = datetime.now(UTC) + offset
    monkeypatch.setattr(clock, "_source", lambda: other)
    assert "differ by" in only(await collect(server.time(database, settings)), level)


async def test_a_pooler_that_drops_settings_is_reported(settings: Settings) -> None:
    dropping = Database(settings, server_settings={"timezone": "Europe/Tallinn"})
    try:
        message = only(await collect(server.timeouts(dropping, settings)), Level.WRONG)
        assert "statement_timeout, lock_timeout, idle_in" in message
        assert "DATABASE_PGBOUNCER=true" in message
        assert "Europe/Tallinn" in only(await collect(server.time(dropping, settings)), Level.WRONG)
    finally:
        await dropping.close()


async def test_another_encoding_is_reported(settings: Settings) -> None:
    name = f"ascii_{uuid4().hex}"
    await administer(f"CREATE DATABASE {name} ENCODING SQL_ASCII LOCALE 'C' TEMPLATE template0")
    other = Database(settings.model_copy(update={"database_url": url_of_database(name)}))
    assert "SQL_ASCII" in only(await collect(server.encoding(other, settings)), Level.WRONG)
    await other.close()
    await administer(f"DROP DATABASE {name}")


async def test_an_undeclared_pgbouncer_is_reported(settings: Settings) -> None:
    async with pgbouncer(settings.database_url, connections=2) as url:
        pooled = settings.model_copy(update={"database_url": url})
        outcome = await runner.run_checks(Configuration(pooled, frozenset(), ()), 2)
        assert "DATABASE_PGBOUNCER=true" in only(outcome.by_check["database"], Level.WRONG)
        assert "indexes" not in outcome.by_check


async def test_a_declared_pgbouncer_is_well(settings: Settings) -> None:
    async with pgbouncer(settings.database_url, connections=2) as url:
        update = {"database_url": url, "database_pgbouncer": True}
        pooled = Configuration(settings.model_copy(update=update), frozenset(), ())
        outcome = await runner.run_checks(pooled, 2)
        for check in ("database", "time", "limits", "connections", "indexes", "outbox"):
            assert is_well(outcome.by_check[check]), outcome.by_check[check]
