"""The primary of a PostgreSQL with a synchronous standby is lost or changed."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from time import monotonic
from typing import Final

from faults.case import Case
from faults.client import Client, Upload, new_key
from faults.failover import WriteProber, measure
from faults.load import LoadGenerator
from faults.patroni import PatroniCluster
from faults.programs import (
    find_etcd,
    find_patroni,
    find_pgbouncer,
    find_pgpool,
    find_postgresql_programs,
    reason_without,
)
from faults.request_log import Kind, Operation, RequestLog
from faults.stack import Layout, Stack, wait_until_live
from faults.standby_pair import PairBehindPgbouncer, PairBehindPgpool, StandbyPair
from tests.support.server import free_port

_NOTICED_AFTER: Final = 2.0
"""Seconds until the operator promotes the standby of a primary that has stopped."""
_CUT_NOTICED_AFTER: Final = 12.0
"""Seconds until the operator promotes the standby of a primary that does not reply: longer than a
request waits for it."""
_ISOLATED_PAYMENTS: Final = 2
_PAIR: Final = Layout(cluster=StandbyPair)
_BEHIND_PGPOOL: Final = Layout(cluster=PairBehindPgpool)
_BEHIND_PGBOUNCER: Final = Layout(
    cluster=PairBehindPgbouncer, settings={"DATABASE_PGBOUNCER": "true"}
)
_PATRONI: Final = Layout(cluster=PatroniCluster)
_OF_PATRONI: Final = (find_etcd, find_patroni)


@asynccontextmanager
async def _measured(stack: Stack, load: LoadGenerator) -> AsyncIterator[None]:
    """Run the load, and measure the failover that the context causes."""
    assert stack.cluster is not None
    async with load.running(), WriteProber(stack.cluster.probe_urls).running() as prober:
        await load.wait_until_healthy()
        await prober.wait_for_write()
        since = monotonic()
        yield
        await prober.wait_for_write()
        await load.wait_for_recovery()
        load.failover = measure(prober, load.request_log, since)


def _pair(stack: Stack) -> StandbyPair:
    assert isinstance(stack.cluster, StandbyPair)
    return stack.cluster


def _patroni(stack: Stack) -> PatroniCluster:
    assert isinstance(stack.cluster, PatroniCluster)
    return stack.cluster


async def _stopped(stack: Stack, load: LoadGenerator) -> None:
    pair = _pair(stack)
    async with _measured(stack, load):
        await pair.primary.stop()
        await asyncio.sleep(_NOTICED_AFTER)
        await pair.promote()


async def _killed(stack: Stack, load: LoadGenerator) -> None:
    pair = _pair(stack)
    async with _measured(stack, load):
        pair.primary.kill()
        await asyncio.sleep(_NOTICED_AFTER)
        await pair.promote()


async def _killed_behind_pgpool(stack: Stack, load: LoadGenerator) -> None:
    async with _measured(stack, load):
        _pair(stack).primary.kill()


async def _cut_off(stack: Stack, load: LoadGenerator) -> None:
    """Cut the network of the primary, where an API goes on that still reaches it."""
    pair = _pair(stack)
    async with (
        _isolated_api(stack, pair.isolated_url) as url,
        Client([url], load.dataset.headers, RequestLog()) as client,
        asyncio.TaskGroup() as tasks,
    ):
        payments = [_payment(load, client) for _ in range(_ISOLATED_PAYMENTS)]
        async with _measured(stack, load):
            pair.cut_off()
            for operation, upload in payments:
                tasks.create_task(client.finish(operation, upload))
            await asyncio.sleep(_CUT_NOTICED_AFTER)
            await pair.promote()
        client.gives_up.set()
    pair.primary.kill()
    await _finish_elsewhere(load, payments)


@asynccontextmanager
async def _isolated_api(stack: Stack, database_url: str) -> AsyncIterator[str]:
    """Run another API, which has its own address of the database; yield its URL."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    api = stack.program("api-isolated", "serve", "--port", str(port))
    api.own["DATABASE_URL"] = database_url
    try:
        await api.start()
        await wait_until_live(url)
        yield url
    finally:
        api.restarts = False
        api.kill()


def _payment(load: LoadGenerator, client: Client) -> tuple[Operation, Upload]:
    """Return a payment of an invoice that the load leaves alone."""
    upload = load.proof()
    invoice = load.next_to_pay().uuid
    return client.request_log.open(Kind.PAID, invoice, upload.value, new_key()), upload


async def _finish_elsewhere(load: LoadGenerator, payments: list[tuple[Operation, Upload]]) -> None:
    """Repeat the payments that the former primary could not acknowledge, under their keys."""
    log = load.request_log
    async with Client(load.client.urls, load.dataset.headers, log) as client:
        for operation, upload in payments:
            if operation.acknowledged:
                log.violations.append(f"the old primary acknowledged {operation.invoice}")
            log.operations.append(operation)
            answer = await client.finish(operation, upload)
            if operation.invoice is not None:
                load.check_paid(operation.invoice, answer)


async def _switched_over(stack: Stack, load: LoadGenerator) -> None:
    async with _measured(stack, load):
        await _patroni(stack).switch_over()


async def _leader_killed(stack: Stack, load: LoadGenerator) -> None:
    async with _measured(stack, load):
        await _patroni(stack).kill_leader()


def _case(
    name: str,
    title: str,
    run: Callable[[Stack, LoadGenerator], Awaitable[None]],
    *,
    layout: Layout = _PAIR,
    finders: tuple[Callable[[], object], ...] = (),
) -> Case:
    return Case(
        name,
        title,
        run,
        seconds=150,
        layout=layout,
        needs=reason_without(find_postgresql_programs, *finders),
        credits_invoices=True,
    )


CASES = (
    _case("failover-stopped", "The primary stopped, its standby promoted", _stopped),
    _case("failover-killed", "The primary killed for good, its standby promoted", _killed),
    _case("failover-cut-off", "The primary cut off, its standby promoted", _cut_off),
    _case(
        "failover-pgbouncer",
        "PgBouncer: the primary killed for good, its standby promoted",
        _killed,
        layout=_BEHIND_PGBOUNCER,
        finders=(find_pgbouncer,),
    ),
    _case(
        "failover-pgpool",
        "pgpool: the primary killed for good, its standby promoted",
        _killed_behind_pgpool,
        layout=_BEHIND_PGPOOL,
        finders=(find_pgpool,),
    ),
    _case(
        "patroni-switchover",
        "Patroni: a switchover",
        _switched_over,
        layout=_PATRONI,
        finders=_OF_PATRONI,
    ),
    _case(
        "patroni-leader-killed",
        "Patroni: the leader killed for good",
        _leader_killed,
        layout=_PATRONI,
        finders=_OF_PATRONI,
    ),
)
