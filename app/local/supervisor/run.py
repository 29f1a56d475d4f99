"""Starts everything in its order, watches over it, and ends it."""

import asyncio
import json
import os
import secrets
import signal
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path

import typer

from app.database.engine import Database
from app.database.migration import migrate
from app.invoices.actions.set_currency import settle_currency
from app.invoices.queries.stored_currency import WrongCurrency
from app.local import demo
from app.local.embedded import access
from app.local.embedded.postgresql import EmbeddedPostgresql
from app.local.embedded.server import EmbeddedServer, ServerError
from app.local.embedded.valkey import EmbeddedValkey
from app.local.supervisor import children, welcome
from app.local.supervisor.addresses import answers, free_port, reachable_host
from app.server.child_process import set_parent_death_signal
from app.settings import AuditSettings, Settings

_END_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_SUPPLIED = ("DATABASE_URL", "REDIS_URL", "AUDIT_KEY", "PROOF_DIR", "MAIL_DIR")
"""Settings that a run supplies where they are not set."""
_CHOSEN = {
    "LOG_FORMAT": "console",
    # No balancer has to hear of the end before it comes, and who presses Ctrl-C waits for it.
    "DRAIN_SECONDS": "0",
}
"""Settings that a run chooses where they are not set."""
_KEY = "audit-key"
"""The file with the key of the record of changes."""
_READY_SECONDS = 60.0
_WATCH_SECONDS = 0.5


def run_service(host: str, port: int, data: Path, *, stop_with_parent: bool = False) -> int:
    """Run the service until it is asked to end; return the exit code.

    Servers are started in `data`, but for those that DATABASE_URL and REDIS_URL name.
    """
    for number in _END_SIGNALS:  # also where we were started in the background, SIGINT ignored
        signal.signal(number, signal.default_int_handler)
    if stop_with_parent:
        set_parent_death_signal(signal.SIGTERM)
    with ExitStack() as stack:
        try:
            before = dict(os.environ)
            _open_folder(data)
            servers = _start_servers(data, stack)
            ours = {name: os.environ[name] for name in _SUPPLIED if not before.get(name)}
            chosen = _choose_port(host, port)
            shown = _choose_metrics_ports()
            migrate()
            address = f"http://{reachable_host(host)}:{chosen}"
            greeting = asyncio.run(_prepare(address, ours, shown))
            return asyncio.run(_supervise(host, chosen, servers, greeting))
        except (ServerError, WrongCurrency) as error:
            typer.echo(str(error), err=True)
            return 1
        except KeyboardInterrupt:
            return 0
        finally:
            for number in _END_SIGNALS:  # what is left to do is to end, in peace
                signal.signal(number, signal.SIG_IGN)


def _start_servers(data: Path, stack: ExitStack) -> list[EmbeddedServer]:
    servers: list[EmbeddedServer] = []
    if not os.environ.get("DATABASE_URL"):
        postgresql = stack.enter_context(EmbeddedPostgresql(data / "postgresql"))
        os.environ["DATABASE_URL"] = postgresql.url
        servers.append(postgresql)
    if not os.environ.get("REDIS_URL"):
        valkey = stack.enter_context(EmbeddedValkey(data / "valkey"))
        os.environ["REDIS_URL"] = valkey.url
        servers.append(valkey)
    for server in servers:
        typer.echo(f"{server.name} runs in {server.home}.")
    if not os.environ.get("AUDIT_KEY"):
        os.environ["AUDIT_KEY"] = _kept_key(data / _KEY)
    for name, folder in (("PROOF_DIR", "proofs"), ("MAIL_DIR", "mail")):
        if not os.environ.get(name):
            os.environ[name] = str((data / folder).absolute())
    for name, value in _CHOSEN.items():
        if not os.environ.get(name):
            os.environ[name] = value
    return servers


def _open_folder(data: Path) -> None:
    """Make the folder of everything where it is missing; ServerError where it cannot be used."""
    try:
        data.mkdir(parents=True, exist_ok=True)
        os.scandir(data).close()
        with suppress(FileNotFoundError):
            (data / _KEY).lstat()  # only who may enter the folder learns whether it is there
    except OSError as error:
        told = access.told(error, data.absolute())
        raise ServerError(f"The data folder cannot be used: {told}") from error


def _kept_key(file: Path) -> str:
    """Return the key in a file, which is made with a new one where it is missing."""
    try:
        with suppress(FileExistsError):
            _make_key(file)
        key = file.read_text().strip()
    except OSError as error:
        told = access.told(error, file.absolute())
        raise ServerError(f"The key of the record of changes cannot be used: {told}") from error
    if not key:
        raise ServerError(
            f"{file.absolute()} is empty: put back the key of the record of changes from a backup,"
            " or remove the file for a new key if nothing is recorded yet."
        )
    return key


def _make_key(file: Path) -> None:
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w") as made:
            made.write(f"{secrets.token_urlsafe(32)}\n")
    except OSError:
        file.unlink()  # half a key is none
        raise


def _choose_port(host: str, port: int) -> int:
    try:
        chosen = free_port(host, port)
    except OSError as error:
        raise ServerError(f"Cannot listen on {host}, port {port}: {error.strerror}.") from error
    if port not in (0, chosen):
        typer.echo(f"Port {port} is busy; taking {chosen} instead.")
    return chosen


def _choose_metrics_ports() -> list[str]:
    """Give API and worker free ports for their metrics; return the addresses that are shown."""
    settings = Settings()
    host = settings.metrics_host
    ports = {
        "METRICS_PORT": settings.metrics_port,
        "WORKER_METRICS_PORT": settings.worker_metrics_port,
    }
    shown = []
    for name, port in ports.items():
        if port:
            chosen = _choose_port(host, port)
            os.environ[name] = str(chosen)
            shown.append(f"http://{reachable_host(host)}:{chosen}/metrics")
    return shown


async def _prepare(address: str, environment: Mapping[str, str], metrics: Sequence[str]) -> str:
    settings = AuditSettings()
    database = Database(settings)
    try:
        await settle_currency(database, settings)
        demonstration = await demo.load(database, settings)
        if demonstration.loaded:
            typer.echo(str(demonstration))
        fresh = await welcome.fresh_tokens(database)
        if fresh:
            _name_an_issuer()
        return welcome.greeting(address, fresh, environment, metrics)
    finally:
        await database.close()


def _name_an_issuer() -> None:
    """Let a made-up company issue the demonstration's invoices, unless the operator names one."""
    if not os.environ.get("ISSUER_DETAILS"):
        os.environ["ISSUER_DETAILS"] = json.dumps(demo.ISSUER)
        if not os.environ.get("MAIL_FROM"):
            os.environ["MAIL_FROM"] = demo.MAIL_FROM


async def _supervise(host: str, port: int, servers: Sequence[EmbeddedServer], greeting: str) -> int:
    asked_to_end = asyncio.Event()
    for number in _END_SIGNALS:
        asyncio.get_running_loop().add_signal_handler(number, asked_to_end.set)
    api = await children.start("serve", "--host", host, "--port", str(port))
    try:
        endings = [
            asyncio.create_task(_told(asked_to_end)),
            asyncio.create_task(_ended(api)),
            asyncio.create_task(_any_stopped(servers)),
            asyncio.create_task(_greet(host, port, greeting)),
            asyncio.create_task(children.keep_running("worker", name="The worker")),
        ]
        first, others = await asyncio.wait(endings, return_when=asyncio.FIRST_COMPLETED)
        typer.echo("Stopping.")
        for ending in others:
            ending.cancel()
        await asyncio.gather(children.stop(api), *others, return_exceptions=True)
        return max(ending.result() or 0 for ending in first)
    finally:
        await children.stop(api)


async def _told(asked_to_end: asyncio.Event) -> int:
    await asked_to_end.wait()
    return 0


async def _ended(api: asyncio.subprocess.Process) -> int:
    code = await api.wait()
    typer.echo(f"The API ended by itself with code {code}.", err=True)
    return code if code > 0 else 1


async def _any_stopped(servers: Sequence[EmbeddedServer]) -> int:
    while True:
        for server in servers:
            if not server.running:
                typer.echo(f"{server.name} stopped by itself: {server.last_words()}", err=True)
                return 1
        await asyncio.sleep(_WATCH_SECONDS)


async def _greet(host: str, port: int, greeting: str) -> int:
    """Tell the newcomer once the service is ready; come back only if it never is."""
    if await answers(reachable_host(host), port, "/health/ready", _READY_SECONDS):
        typer.echo(greeting)
        await asyncio.Event().wait()
    typer.echo("The service did not become ready.", err=True)
    return 1
