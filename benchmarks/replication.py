"""Reads from a standby, and reads through PgBouncer, each beside the same reads without."""

import asyncio
import os
import shutil
import signal
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import asyncpg  # type: ignore[import-untyped]  # it has no types
from sqlalchemy import make_url

from app.local.embedded.accounts import unprivileged_account
from app.local.embedded.postgresql import EmbeddedPostgresql
from app.local.embedded.standby import EmbeddedStandby
from app.server.child_process import with_parent_death_signal
from benchmarks.cases import find_subjects, reading_cases
from benchmarks.console import Unusable, progress
from benchmarks.loading import Databases
from benchmarks.measuring import Pace, Run, alternate
from benchmarks.phases import CONNECTIONS, Bench, Made, prepare
from benchmarks.results import Phase, PrimaryLoad, Series, Subject
from benchmarks.servers import Server, free_port

CASES: Final = ("list", "list-fields", "retrieve-20", "payments")
QUICK_CASES: Final = ("list", "retrieve-20")
_STANDBY_SECONDS: Final = 10
"""Until a service that is new to a database reads the standby."""
_START_SECONDS: Final = 20
_FIRST: Final = Pace(rounds=1, seconds=1, longest=3)
_STATISTICS_SECONDS: Final = 2
"""Until the sessions have written their statistics, which they do once a second."""
_TRANSACTIONS: Final = """
SELECT xact_commit + xact_rollback FROM pg_stat_database WHERE datname = current_database()
"""
_PGBOUNCER: Final = """
[databases]
* = host={host} port={port} user={user}
[pgbouncer]
pool_mode = transaction
default_pool_size = {connections}
max_client_conn = 500
auth_type = any
listen_addr = 127.0.0.1
listen_port = {listen}
unix_socket_dir =
logfile = {folder}/pgbouncer.log
"""


async def measure_replica(bench: Bench) -> None:
    """Measure reads with a standby and without, in turn, and the load of the primary."""
    progress("Reads from a standby beside reads from the primary.")
    folder = bench.environment.place
    with ExitStack() as servers:
        primary = servers.enter_context(EmbeddedPostgresql(folder / "primary", port=0))
        databases = Databases(primary.url, bench.running, own=True)
        shape = bench.smallest.shape
        url = await prepare(databases, bench.environment, shape)
        made = Made(shape, url, await find_subjects(url, shape))
        standby = servers.enter_context(EmbeddedStandby(folder / "standby", primary))
        name = make_url(url).database
        read_url = make_url(standby.url).set(database=name).render_as_string(hide_password=False)
        settings = {Subject.SERVICE: {"DATABASE_READ_URL": read_url}, Subject.PRIMARY: {}}
        async with _services(bench, dict.fromkeys(settings, url), settings) as services:
            runs = _runs(bench, Phase.REPLICA, made, services)
            await alternate(runs[:2], _FIRST, databases)
            await asyncio.sleep(_STANDBY_SECONDS)
            bench.result.add(await alternate(runs, bench.pace, databases))
            for subject in services:
                own = [run for run in runs if run.series.subject is subject]
                before = await _transactions(url)
                measured = await alternate(own, _FIRST, databases)
                transactions = await _transactions(url) - before
                requests = sum(one.requests for each in measured.values() for one in each)
                bench.result.primary_loads.append(PrimaryLoad(subject, requests, transactions))


async def measure_pgbouncer(bench: Bench) -> None:
    """Measure reads through PgBouncer and without it, in turn."""
    program = shutil.which("pgbouncer", path=f"{os.environ['PATH']}:/usr/sbin")
    if program is None:
        bench.result.missing["pgbouncer"] = "PgBouncer is not installed"
        return
    progress("Reads through PgBouncer beside reads from a direct connection.")
    made = bench.smallest
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(_statement_timeout(made.url))
        pooled = await stack.enter_async_context(_pgbouncer(program, made.url))
        services = await stack.enter_async_context(
            _services(
                bench,
                {Subject.SERVICE: pooled, Subject.PRIMARY: made.url},
                {Subject.SERVICE: {"DATABASE_PGBOUNCER": "true"}, Subject.PRIMARY: {}},
            )
        )
        runs = _runs(bench, Phase.PGBOUNCER, made, services)
        bench.result.add(await alternate(runs, bench.pace, bench.databases))


@asynccontextmanager
async def _services(
    bench: Bench, urls: Mapping[Subject, str], settings: Mapping[Subject, Mapping[str, str]]
) -> AsyncIterator[dict[Subject, Server]]:
    async with AsyncExitStack() as stack:
        yield {
            subject: await stack.enter_async_context(
                bench.environment.service(url, settings=settings[subject])
            )
            for subject, url in urls.items()
        }


def _runs(bench: Bench, phase: Phase, made: Made, services: Mapping[Subject, Server]) -> list[Run]:
    names = QUICK_CASES if bench.quick else CASES
    size = made.shape.invoices
    runs = []
    for case in reading_cases(made.subjects, bench.running):
        if case.name in names:
            bench.result.titles.setdefault(case.name, case.title)
            runs += [
                Run(Series(phase, case.name, subject, size, CONNECTIONS), server, case.requests)
                for subject, server in services.items()
            ]
    return runs


async def _transactions(url: str) -> int:
    """Return the number of transactions of a database, of which each read is one."""
    await asyncio.sleep(_STATISTICS_SECONDS)
    connection = await asyncpg.connect(url)
    try:
        return int(await connection.fetchval(_TRANSACTIONS))
    finally:
        await connection.close()


@asynccontextmanager
async def _statement_timeout(url: str) -> AsyncIterator[None]:
    """Let new sessions of a database have a statement timeout, as behind a pooler they should."""
    name = make_url(url).database
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(f"ALTER DATABASE \"{name}\" SET statement_timeout = '30s'")
        yield
        await connection.execute(f'ALTER DATABASE "{name}" RESET statement_timeout')
    finally:
        await connection.close()


@asynccontextmanager
async def _pgbouncer(program: str, url: str) -> AsyncIterator[str]:
    """Run a PgBouncer in transaction mode before a server; yield the database's URL through it."""
    parsed, port = make_url(url), free_port()
    with TemporaryDirectory(prefix="pgbouncer-") as place:
        folder = Path(place)
        file = folder / "pgbouncer.ini"
        file.write_text(
            _PGBOUNCER.format(
                host=parsed.query.get("host") or parsed.host,
                port=parsed.query.get("port") or parsed.port or 5432,
                user=parsed.username,
                connections=CONNECTIONS,
                listen=port,
                folder=folder,
            )
        )
        account = unprivileged_account(folder)  # it refuses to be root
        if account is not None:
            for path in (folder, file):
                os.chown(path, account.uid, account.gid)
        command = [program, "--quiet", str(file)]
        process = await asyncio.create_subprocess_exec(
            *with_parent_death_signal(command, signal.SIGINT, account)
        )
        try:
            await _until_it_listens(process, port)
            through = parsed.set(host="127.0.0.1", port=port, query={})
            yield through.render_as_string(hide_password=False)
        finally:
            if process.returncode is None:
                process.terminate()
            await process.wait()


async def _until_it_listens(process: asyncio.subprocess.Process, port: int) -> None:
    async with asyncio.timeout(_START_SECONDS):
        while process.returncode is None:
            with suppress(OSError):
                _, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.close()
                return
            await asyncio.sleep(0.05)
    raise Unusable("PgBouncer has ended.")
