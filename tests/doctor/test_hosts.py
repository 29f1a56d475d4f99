"""The checks of several hosts, and of what a failover may lose, on a primary and its standby."""

import asyncio
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from math import isnan

import pytest
from sqlalchemy import text

from app.database import replication
from app.database.engine import Connection, Database
from app.doctor import hosts
from app.doctor.check_result import CheckResult, Level
from app.jobs.replication import replication_metrics
from app.local.embedded.binaries import find_postgresql
from app.local.embedded.postgresql import EmbeddedPostgresql
from app.settings import Settings
from tests.doctor.results import collect, is_well, only
from tests.support.server import free_port
from tests.support.standby import STANDBY_NAME, Standby, url_of_both
from tests.support.worker import until

pytestmark = pytest.mark.slow


@dataclass(frozen=True)
class Pair:
    """A primary, and its standby, with the settings that name both."""

    primary: EmbeddedPostgresql
    standby: Standby
    settings: Settings

    def with_url(self, url: str) -> Settings:
        """Return the settings for another address."""
        return Settings(database_url=url, database_pool_size=2, redis_url="unix:///none")

    @asynccontextmanager
    async def as_role(self, role: str = "postgres") -> AsyncIterator[Database]:
        """Yield the primary as a role reaches it."""
        database = Database(
            self.with_url(f"postgresql://{role}@127.0.0.1:{self.primary.port}/postgres")
        )
        yield database
        await database.close()


async def execute(database: Database, *statements: str) -> None:
    async with database.autocommit() as connection:
        for statement in statements:
            await connection.execute(text(statement))


@pytest.fixture(scope="module")
def pair(
    tmp_path_factory: pytest.TempPathFactory, child_processes: None, redis_server: str
) -> Iterator[Pair]:
    place = tmp_path_factory.mktemp("pair")
    primary = EmbeddedPostgresql(place / "primary", port=0)
    with primary:
        pass
    standby = Standby(place / "standby", primary)
    standby.start()
    try:
        with primary:
            url = url_of_both(standby, primary, "read-write")
            settings = Settings(database_url=url, database_pool_size=2, redis_url=redis_server)
            yield Pair(primary, standby, settings)
    finally:
        standby.stop()


@pytest.fixture(autouse=True)
async def _streaming(pair: Pair) -> AsyncIterator[None]:
    """Wait until the standby follows, and end each test as it began."""

    async def follows() -> bool:
        async with pair.as_role() as database, database.reading() as connection:
            return bool((await replication.find_server(connection)).standbys)

    await until(follows)
    yield
    async with pair.as_role() as database:
        await execute(database, "ALTER SYSTEM RESET ALL", "SELECT pg_reload_conf()")


@asynccontextmanager
async def synchronous(pair: Pair, names: str, commit: str = "on") -> AsyncIterator[Database]:
    """Yield the primary once these settings are in effect."""
    async with pair.as_role() as database:
        await execute(
            database,
            f"ALTER SYSTEM SET synchronous_standby_names = '{names}'",
            f"ALTER SYSTEM SET synchronous_commit = '{commit}'",
            "SELECT pg_reload_conf()",
        )
        expected = "sync" if names == STANDBY_NAME else "async"

        async def applied() -> bool:
            async with database.reading() as connection:
                server = await replication.find_server(connection)
            return (server.synchronous_standby_names, server.synchronous_commit) == (
                names,
                commit,
            ) and [each.sync_state for each in server.standbys] == [expected]

        await until(applied)
        yield database


async def test_an_asynchronous_standby_is_well_but_may_lose_changes(pair: Pair) -> None:
    standby, primary = await collect(hosts.hosts(pair.settings))
    assert (standby.level, primary.level) == (Level.WELL, Level.WELL)
    first = f"127.0.0.1:{pair.standby.port} is an asynchronous standby, PostgreSQL "
    assert standby.message.startswith(first)
    assert standby.message.endswith(" s behind")
    assert primary.message.startswith(f"127.0.0.1:{pair.primary.port} is a primary, PostgreSQL ")
    async with pair.as_role() as database:
        message = only(await collect(hosts.durability(database, pair.settings)), Level.WARNING)
    assert message.startswith("no standby is synchronous, so a failover may lose changes")
    assert "synchronous_standby_names" in message


async def test_a_synchronous_standby_loses_nothing(pair: Pair) -> None:
    async with synchronous(pair, STANDBY_NAME) as database:
        standby, _ = await collect(hosts.hosts(pair.settings))
        assert " is a synchronous standby, " in standby.message
        results = await collect(hosts.durability(database, pair.settings))
        assert is_well(results)
        assert "on a synchronous standby before" in results[0].message


@pytest.mark.parametrize("commit", ["off", "local", "remote_write"])
async def test_a_commit_that_waits_for_no_standby_may_lose_changes(pair: Pair, commit: str) -> None:
    async with synchronous(pair, STANDBY_NAME, commit) as database:
        message = only(await collect(hosts.durability(database, pair.settings)), Level.WARNING)
    assert message.startswith(f"synchronous_commit is {commit}, so a ")
    assert "may lose changes that were acknowledged" in message


async def test_a_synchronous_standby_that_is_missing_is_wrong(pair: Pair) -> None:
    async with synchronous(pair, "nobody") as database:
        message = only(await collect(hosts.durability(database, pair.settings)), Level.WRONG)
    assert "no standby matches synchronous_standby_names, nobody, so commits wait" in message


async def test_a_role_without_pg_monitor_sees_that_there_are_standbys(pair: Pair) -> None:
    async with pair.as_role() as owner, pair.as_role("plain") as database:
        await execute(owner, "DROP ROLE IF EXISTS plain", "CREATE ROLE plain LOGIN")
        results = await collect(hosts.durability(database, pair.settings))
        assert [each.level for each in results] == [Level.WARNING, Level.WARNING]
        assert results[0].advice == "GRANT pg_monitor TO plain."
        async with database.reading() as connection:
            server = await replication.find_server(connection)
        samples = {
            (sample.name, *sample.labels.values()): sample.value
            for metric in replication_metrics(server)
            for sample in metric.samples
        }
        assert samples["invoicing_database_standbys", "hidden"] == 1
        assert isnan(samples["invoicing_database_replication_lag_bytes",])
        await execute(owner, "GRANT pg_monitor TO plain")
        assert len(await collect(hosts.durability(database, pair.settings))) == 1
        await execute(owner, "DROP ROLE plain")


async def test_metrics_show_the_role_and_the_lag(pair: Pair) -> None:
    async with pair.as_role() as database, database.reading() as connection:
        primary = await replication.find_server(connection)
    standby_database = Database(pair.with_url(pair.standby.url))
    async with standby_database.reading() as connection:
        standby = await replication.find_server(connection)
    await standby_database.close()
    assert primary.system == standby.system
    assert (standby.is_standby, standby.receives, standby.name) == (True, True, STANDBY_NAME)
    for server, is_standby in ((primary, 0), (standby, 1)):
        samples = {
            (sample.name, *sample.labels.values()): sample.value
            for metric in replication_metrics(server)
            for sample in metric.samples
        }
        assert samples["invoicing_database_is_standby",] == is_standby
        assert samples["invoicing_database_standbys", "async"] == 1 - is_standby
        assert samples["invoicing_database_replication_lag_bytes",] < 2**20
        assert samples["invoicing_database_replication_lag_seconds",] < 60


def levels(results: list[CheckResult]) -> list[Level]:
    return [each.level for each in results]


async def test_an_unreachable_host_is_a_warning(pair: Pair) -> None:
    port = free_port()
    url = f"postgresql://postgres@127.0.0.1:{pair.primary.port},127.0.0.1:{port}/postgres"
    results = await collect(hosts.hosts(pair.with_url(url)))
    assert levels(results) == [Level.WELL, Level.WARNING]
    assert results[1].message.startswith(f"127.0.0.1:{port} cannot be reached: ")


async def test_hosts_without_a_primary_or_with_two_are_wrong(
    pair: Pair,
) -> None:
    url = f"postgresql://postgres@127.0.0.1:{pair.standby.port},127.0.0.1:{free_port()}/postgres"
    results = await collect(hosts.hosts(pair.with_url(url)))
    assert levels(results) == [Level.WELL, Level.WARNING, Level.WRONG]
    assert results[2].message == "no host is a primary"
    twice = f"127.0.0.1:{pair.primary.port},localhost:{pair.primary.port}"
    results = await collect(
        hosts.hosts(pair.with_url(f"postgresql://postgres@{twice}/?target_session_attrs=any"))
    )
    assert levels(results) == [Level.WELL, Level.WELL, Level.WRONG, Level.WARNING]
    assert "are all primaries" in results[2].message
    assert "target_session_attrs=any" in results[3].message


async def test_a_standby_that_is_far_behind_is_a_warning(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hosts, "_LARGE_LAG_BYTES", 0)
    standby = Database(pair.with_url(pair.standby.url))
    async with pair.as_role() as database:
        await execute(standby, "SELECT pg_wal_replay_pause()")
        await execute(database, "CREATE TABLE filler AS SELECT 1", "DROP TABLE filler")
        result, _ = await collect(hosts.hosts(pair.settings))
        await execute(standby, "SELECT pg_wal_replay_resume()")
    await standby.close()
    assert result.level is Level.WARNING
    assert " bytes and " in result.message
    assert ", 0 bytes" not in result.message


async def test_a_standby_of_another_cluster_is_wrong(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    find_server = replication.find_server

    async def elsewhere(connection: Connection) -> replication.Server:
        server = await find_server(connection)
        return replace(server, system=server.system + server.is_standby)

    monkeypatch.setattr(replication, "find_server", elsewhere)
    result, _ = await collect(hosts.hosts(pair.settings))
    assert result.level is Level.WRONG
    assert " is a standby of another cluster, " in result.message


@pytest.mark.slow  # PostgreSQL waits before it connects again
async def test_a_standby_that_lost_its_primary_is_a_warning(pair: Pair) -> None:
    rules = pair.primary.data / "pg_hba.conf"
    original = rules.read_text()
    async with pair.as_role() as database:
        rules.write_text("host postgres all 127.0.0.1/32 trust\n")  # none for replication
        await execute(
            database,
            "SELECT pg_reload_conf()",
            "SELECT pg_terminate_backend(pid) FROM pg_stat_replication",
        )

        async def is_lost() -> bool:
            result, _ = await collect(hosts.hosts(pair.settings))
            return result.level is Level.WARNING

        await until(is_lost)
        result, _ = await collect(hosts.hosts(pair.settings))
        rules.write_text(original)
        await execute(database, "SELECT pg_reload_conf()")
    assert result.message.endswith(" s behind, and not connected to the primary")


async def test_libpq_takes_the_same_url(pair: Pair) -> None:
    url = url_of_both(pair.standby, pair.primary, "read-write")
    psql = find_postgresql(None, None).directory / "psql"
    if not psql.exists():
        pytest.skip("there is no psql beside the server")
    command = [str(psql), "--dbname", url, "--no-align", "--tuples-only", "--command", "SHOW port"]

    def port() -> str:
        return subprocess.check_output(command, text=True).strip()

    assert await asyncio.to_thread(port) == str(pair.primary.port)


async def test_one_host_is_not_checked(settings: Settings) -> None:
    assert await collect(hosts.hosts(settings)) == []
