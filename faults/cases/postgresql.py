"""PostgreSQL is killed, hangs, loses connections, is read-only, or has a full disk."""

import asyncio
from contextlib import suppress

import httpx
from sqlalchemy import text

from app.database.errors import DatabaseUnavailable
from faults.case import Case
from faults.disk import fill, no_small_disk
from faults.load import LoadGenerator
from faults.stack import Layout, Stack

_AWAY_SECONDS = 2.0
_STILL_SECONDS = 20.0
_FULL_SECONDS = 3.0
_ROUNDS = 6
_BETWEEN = 0.4
"""Seconds between two rounds of cuts."""
_DISK = 250_000_000
_READ_ONLY_SECONDS = 10.0
_OF_DATABASE = "ALTER DATABASE postgres"
_OPTION = "default_transaction_read_only"
_OF_THE_SERVICE = text(
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
    " WHERE application_name = 'cloud-invoicing' AND pid <> pg_backend_pid()"
)


async def _killed(stack: Stack, load: LoadGenerator) -> None:
    async with load.running():
        await load.wait_until_healthy()
        stack.postgresql.kill()
        await asyncio.sleep(_AWAY_SECONDS)
        await stack.postgresql.start()
        await load.wait_for_recovery()


async def _terminated(stack: Stack, load: LoadGenerator) -> None:
    async with load.running(), stack.database() as database:
        await load.wait_until_healthy()
        for _ in range(_ROUNDS):
            async with database.reading() as connection:
                await connection.execute(_OF_THE_SERVICE)
            await asyncio.sleep(_BETWEEN)
        await load.wait_for_recovery()


async def _cut(stack: Stack, load: LoadGenerator) -> None:
    proxy = stack.postgresql_proxy
    assert proxy is not None
    async with load.running():
        await load.wait_until_healthy()
        for _ in range(_ROUNDS):
            proxy.commit_replies_to_cut += 2
            proxy.commits_to_cut += 2
            await asyncio.sleep(_BETWEEN)
            proxy.cut_all()
        # The remaining ones would continue after the end of the fault.
        proxy.commit_replies_to_cut = proxy.commits_to_cut = 0
        assert proxy.cuts >= _ROUNDS
        await load.wait_for_recovery()


async def _still(stack: Stack, load: LoadGenerator) -> None:
    async with load.running():
        await load.wait_until_healthy()
        stack.postgresql.pause()
        try:
            await asyncio.sleep(_STILL_SECONDS)
        finally:
            stack.postgresql.resume()
        await load.wait_for_recovery()


async def _full(stack: Stack, load: LoadGenerator) -> None:
    async with load.running(), stack.database() as database:
        await load.wait_until_healthy()
        filler = fill(stack.postgresql.server.home)
        await asyncio.sleep(_FULL_SECONDS)
        # The current WAL segment had room; without any the server stops and cannot restart.
        with suppress(DatabaseUnavailable):
            async with database.reading() as connection:
                await connection.execute(text("SELECT pg_switch_wal()"))
        await asyncio.sleep(_FULL_SECONDS)
        filler.unlink()
        if not stack.postgresql.running:
            await stack.postgresql.stop()
            await stack.postgresql.start()
        await load.wait_for_recovery()


async def _read_only(stack: Stack, load: LoadGenerator) -> None:
    async with load.running(), stack.database() as database:
        await load.wait_until_healthy()
        async with database.reading() as connection:
            await connection.execute(text(f"{_OF_DATABASE} SET {_OPTION} = on"))
            await connection.execute(_OF_THE_SERVICE)
            await _check_readiness(stack, load)
            await asyncio.sleep(_READ_ONLY_SECONDS)
            await connection.execute(text(f"{_OF_DATABASE} RESET {_OPTION}"))
        await load.wait_for_recovery()
    _check_logged_once(stack, load)


async def _check_readiness(stack: Stack, load: LoadGenerator) -> None:
    async with httpx.AsyncClient() as client:
        answer = await client.get(f"{stack.urls[0]}/health/ready")
    if answer.status_code != 200 or answer.json()["database"] != "read-only":
        load.request_log.violations.append(f"ready answered {answer.status_code} {answer.text}")


def _check_logged_once(stack: Stack, load: LoadGenerator) -> None:
    for worker in stack.workers:
        times = worker.log.read_text().count('"database read-only"')
        if times != 1:
            load.request_log.violations.append(f"{worker.name} logged the outage {times} times")


CASES = (
    Case("postgresql-killed", "PostgreSQL killed and restarted", _killed, quick=True),
    Case("postgresql-terminated", "PostgreSQL: connections ended by the server", _terminated),
    Case(
        "postgresql-cut",
        "PostgreSQL: connections lost, at a commit, after one, all at once",
        _cut,
        quick=True,
        layout=Layout(proxied=True),
    ),
    Case(
        "postgresql-full",
        "PostgreSQL: disk full",
        _full,
        layout=Layout(disk=_DISK),
        needs=no_small_disk,
    ),
    Case(
        "postgresql-read-only",
        "PostgreSQL: read-only for ten seconds, sessions ended",
        _read_only,
    ),
    Case("postgresql-still", "PostgreSQL hangs for 20 seconds", _still, seconds=120),
)
