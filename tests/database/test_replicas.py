"""Reads from a replica are never older than the token's own changes and earlier answers."""

import asyncio
import os
import random
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, ExitStack
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from time import monotonic

import httpx
import pytest
from fastapi import FastAPI
from redis.asyncio import Redis
from sqlalchemy import text

from app.billing.enums import InvoiceState
from app.billing.periods import Period
from app.database.engine import Database
from app.doctor import replica as doctor
from app.doctor.check_result import Level
from app.local.embedded.postgresql import EmbeddedPostgresql
from app.local.embedded.standby import EmbeddedStandby
from app.local.embedded.valkey import EmbeddedValkey
from app.main import create_app
from app.metrics.reads import READS
from app.settings import DatabaseSettings, Settings
from tests.doctor.results import collect, is_well
from tests.support.clients import client_of
from tests.support.databases import administer, migrate
from tests.support.factories import Factories
from tests.support.worker import until

_VALUES = count(10)
"""The values of changes, each above all that were set before, also by another test."""
_SLOW = (pytest.mark.slow, pytest.mark.timeout(1200))
pytestmark = pytest.mark.usefixtures("child_processes", "redis_server")


@dataclass
class Cluster:
    """A primary with a replica, and an invoice for each user, which only that user changes."""

    primary: EmbeddedPostgresql
    replica: EmbeddedStandby
    users: list[dict[str, str]]
    invoices: list[str]

    async def set_delay(self, seconds: float) -> None:
        """Let commits wait so long before the replica replays them."""
        delay = f"recovery_min_apply_delay = '{seconds * 1000:.0f}ms'"
        await administer(
            f"ALTER SYSTEM SET {delay}", "SELECT pg_reload_conf()", server=self.replica.url
        )


@pytest.fixture(scope="module")
async def cluster(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Cluster]:
    """Two servers, which the tests of the module share."""
    place = tmp_path_factory.mktemp("cluster")
    with ExitStack() as servers:
        primary = servers.enter_context(EmbeddedPostgresql(place / "primary", port=0))
        await asyncio.to_thread(migrate, DatabaseSettings(database_url=primary.url).database_url)
        database = Database(DatabaseSettings(database_url=primary.url))
        async with database.reading() as connection:
            make = Factories(connection)
            customer = await make.customer()
            users = [(await make.staff()).headers for _ in range(4)]
            invoices = [
                await make.invoice(customer, Period(2026, month), InvoiceState.CREATED)
                for month in range(1, 5)
            ]
        await database.close()
        replica = servers.enter_context(EmbeddedStandby(place / "replica", primary))
        yield Cluster(
            primary, replica, users, [f"/api/invoices/{invoice.uuid}/" for invoice in invoices]
        )


@pytest.fixture
def settings(cluster: Cluster, tmp_path: Path) -> Settings:
    """The settings of a service with a replica."""
    return Settings(
        database_url=cluster.primary.url,
        database_read_url=cluster.replica.url,
        database_pool_size=8,
        redis_url=os.environ["REDIS_URL"],
        queue_name=f"replicas-{os.getpid()}",
        proof_dir=tmp_path / "proofs",
        mail_dir=tmp_path / "mail",
        rate_limit_token=None,
        rate_limit_address=None,
    )


async def _allow_replicas(settings: Settings) -> None:
    """End a suspension, and make the run of Redis known, so that none is necessary."""
    redis = Redis.from_url(settings.redis_url)
    run = (await redis.info("server"))["run_id"]
    await redis.aclose()
    database = Database(settings)
    async with database.autocommit() as connection:
        await connection.execute(
            text(
                "INSERT INTO replica_reads VALUES (1, 1, :run, now()) ON CONFLICT (id)"
                " DO UPDATE SET epoch = replica_reads.epoch + 1, redis_run = :run,"
                " suspended_until = now()"
            ),
            {"run": run},
        )
    await database.close()


async def _started(settings: Settings, stack: AsyncExitStack) -> tuple[FastAPI, httpx.AsyncClient]:
    """Start a service, and wait until it may read the replica."""
    app = create_app(settings)
    await stack.enter_async_context(app.router.lifespan_context(app))
    client = await stack.enter_async_context(client_of(app))
    router = app.state.read_router

    async def is_ready() -> bool:
        return router.replica.is_up and router.watch.state is not None

    await until(is_ready)
    return app, client


@pytest.fixture
async def service(settings: Settings) -> AsyncIterator[tuple[FastAPI, httpx.AsyncClient]]:
    """A service that reads the replica."""
    await _allow_replicas(settings)
    async with AsyncExitStack() as stack:
        yield await _started(settings, stack)


async def _until_replica_is_read(
    client: httpx.AsyncClient, invoice: str, headers: dict[str, str]
) -> None:
    async def is_read() -> bool:
        before = _reads("replica")
        answer = await client.get(invoice, headers=headers)
        assert answer.status_code == 200, answer.text
        return _reads("replica") > before

    await until(is_read)


def _reads(server: str, reason: str | None = None) -> float:
    return sum(
        sample.value
        for metric in READS.collect()
        for sample in metric.samples
        if sample.name.endswith("_total")
        and sample.labels["server"] == server
        and reason in (None, sample.labels["reason"])
    )


async def test_a_token_reads_the_replica_once_it_has_a_position(
    cluster: Cluster, service: tuple[FastAPI, httpx.AsyncClient]
) -> None:
    _, client = service
    unknown = _reads("primary", "no_position")
    await _until_replica_is_read(client, cluster.invoices[0], cluster.users[0])
    assert _reads("primary", "no_position") == unknown + 1


@pytest.mark.slow
async def test_a_changed_value_is_read_at_once_though_one_process_lacks_redis(
    cluster: Cluster, settings: Settings
) -> None:
    """The process that cannot store a position suspends the reads of the others."""
    invoice, user = cluster.invoices[1], cluster.users[1]
    await _allow_replicas(settings)
    async with AsyncExitStack() as stack:
        _, reader = await _started(settings, stack)
        away = settings.model_copy(update={"redis_url": "redis://127.0.0.1:1/0"})
        _, writer = await _started(away, stack)
        await _until_replica_is_read(reader, invoice, user)
        await cluster.set_delay(5)
        try:
            for value in ("1", "2"):
                changed = await writer.post(
                    f"{invoice}set_backend_id/", json={"backend_id": value}, headers=user
                )
                assert changed.status_code == 200, changed.text
                assert (await reader.get(invoice, headers=user)).json()["backend_id"] == value
        finally:
            await cluster.set_delay(0)


@pytest.mark.slow
async def test_a_replica_that_ends_is_left_out_and_comes_back(
    cluster: Cluster, service: tuple[FastAPI, httpx.AsyncClient]
) -> None:
    _, client = service
    await _until_replica_is_read(client, cluster.invoices[0], cluster.users[0])
    stopped = asyncio.create_task(asyncio.to_thread(cluster.replica.stop))
    started = monotonic()
    while not stopped.done() or monotonic() - started < 0.5:
        answer = await client.get(cluster.invoices[0], headers=cluster.users[0])
        assert answer.status_code == 200, answer.text
    await asyncio.to_thread(cluster.replica.start)
    await _until_replica_is_read(client, cluster.invoices[0], cluster.users[0])


@pytest.mark.slow
async def test_reads_go_to_the_primary_until_redis_is_back(
    cluster: Cluster, settings: Settings, tmp_path: Path
) -> None:
    with EmbeddedValkey(tmp_path / "valkey") as valkey:
        own = settings.model_copy(update={"redis_url": valkey.url})
        await _allow_replicas(own)
        async with AsyncExitStack() as stack:
            _, client = await _started(own, stack)
            await _until_replica_is_read(client, cluster.invoices[0], cluster.users[0])
            await asyncio.to_thread(valkey.stop)
            for value in ("1", "2"):
                changed = await client.post(
                    f"{cluster.invoices[0]}set_backend_id/",
                    json={"backend_id": value},
                    headers=cluster.users[0],
                )
                assert changed.status_code == 200, changed.text
                answer = await client.get(cluster.invoices[0], headers=cluster.users[0])
                assert answer.json()["backend_id"] == value
            await asyncio.to_thread(valkey.start)  # with the positions of before
            await _until_replica_is_read(client, cluster.invoices[0], cluster.users[0])


async def test_a_primary_is_not_taken_for_a_replica(cluster: Cluster, settings: Settings) -> None:
    wrong = settings.model_copy(update={"database_read_url": settings.database_url})
    app = create_app(wrong)
    async with app.router.lifespan_context(app), client_of(app) as client:
        down = _reads("primary", "replica_down")

        async def is_left_out() -> bool:
            answer = await client.get(cluster.invoices[0], headers=cluster.users[0])
            assert answer.status_code == 200, answer.text
            return _reads("primary", "replica_down") > down

        await until(is_left_out)
        (result,) = await collect(doctor.replica(app.state.database, wrong))
        assert result.level is Level.WRONG


async def test_the_doctor_finds_the_replica(cluster: Cluster, settings: Settings) -> None:
    database = Database(settings)
    assert is_well(await collect(doctor.replica(database, settings)))
    await database.close()


@dataclass
class Ledger:
    """The values that each token must see at least, by token and invoice."""

    seen: dict[tuple[int, int], int] = field(default_factory=lambda: defaultdict(int))
    stale: list[str] = field(default_factory=list)
    reads: int = 0

    def note(self, user: int, invoice: int, value: int) -> None:
        """Note the value of an answer, or of a change that was answered."""
        self.seen[user, invoice] = max(self.seen[user, invoice], value)


async def _load(
    cluster: Cluster, clients: list[httpx.AsyncClient], reads: int, delay: float
) -> Ledger:
    """Read and change through several processes, several requests of a token at once.

    Users pause now and then, so that the replica overtakes the answers that they had.
    """
    ledger = Ledger()

    async def change(user: int) -> None:
        for value in _VALUES:
            await asyncio.sleep(random.uniform(0, user * delay))
            if ledger.reads >= reads:
                return
            answer = await random.choice(clients).post(
                f"{cluster.invoices[user]}set_backend_id/",
                json={"backend_id": str(value)},
                headers=cluster.users[user],
            )
            if answer.status_code != 503:
                assert answer.status_code == 200, answer.text
                ledger.note(user, user, value)

    async def read(user: int) -> None:
        for _ in range(reads // 80):
            invoice = random.choice((user, random.randrange(4)))
            least = ledger.seen[user, invoice]
            answer = await random.choice(clients).get(
                cluster.invoices[invoice], headers=cluster.users[user]
            )
            if answer.status_code == 503:  # on a machine that is overloaded
                continue
            assert answer.status_code == 200, answer.text
            value = int(answer.json()["backend_id"] or 0)
            if value < least:
                ledger.stale.append(f"user {user} read {value} of {invoice} after {least}")
            ledger.note(user, invoice, value)
            ledger.reads += 1

    async def visit(user: int) -> None:
        while ledger.reads < reads:
            await asyncio.gather(read(user), read(user))
            await asyncio.sleep(1.2 * delay)

    async with asyncio.TaskGroup() as tasks:
        for user in range(4):
            if user:  # the first only reads
                tasks.create_task(change(user))
            tasks.create_task(visit(user))
    return ledger


@pytest.mark.parametrize(("delay", "reads"), [(0.05, 200), pytest.param(2.0, 10_000, marks=_SLOW)])
async def test_no_answer_is_older_than_one_that_the_token_has_had(
    cluster: Cluster, settings: Settings, delay: float, reads: int
) -> None:
    await cluster.set_delay(delay)
    await _allow_replicas(settings)
    try:
        async with AsyncExitStack() as stack:
            clients = [(await _started(settings, stack))[1] for _ in range(2)]
            before = _reads("replica")
            ledger = await _load(cluster, clients, reads, delay)
            assert not ledger.stale
            assert ledger.reads >= reads
            # A busy machine reads so slowly that a token's answers are seldom replayed in time.
            assert _reads("replica") - before > reads / 200
    finally:
        await cluster.set_delay(0)
