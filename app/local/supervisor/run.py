"""Starts servers, API and worker in order, watches and stops them."""

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
from app.local.embedded.server import EmbeddedServer, ServerError, free_port
from app.local.embedded.valkey import EmbeddedValkey
from app.local.supervisor import children, welcome
from app.local.supervisor.addresses import reachable_host, wait_until_ok
from app.server.child_process import set_parent_death_signal
from app.settings import ProofSettings, Settings

_END_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_SUPPLIED_SETTINGS = ("DATABASE_URL", "REDIS_URL", "AUDIT_KEY", "PROOF_DIR", "MAIL_DIR")
"""Settings that the supervisor sets to its own servers and folders unless they are set."""
_DEFAULT_SETTINGS = {
    "LOG_FORMAT": "console",
    # There is no load balancer to inform, and Ctrl-C should end quickly.
    "DRAIN_SECONDS": "0",
}
"""Defaults of a local run."""
_KEY = "audit-key"
"""The file of the key that seals the record of changes."""
_READY_SECONDS = 60.0
_WATCH_SECONDS = 0.5


def run_service(host: str, port: int, data: Path, *, stop_with_parent: bool = False) -> int:
    """Run the service until a signal ends it; return the exit code.

    Embedded servers run in `data` unless DATABASE_URL and REDIS_URL name others.
    """
    for number in _END_SIGNALS:  # a shell starts background processes with SIGINT ignored
        signal.signal(number, signal.default_int_handler)
    if stop_with_parent:
        set_parent_death_signal(signal.SIGTERM)
    with ExitStack() as stack:
        try:
            before = dict(os.environ)
            _create_data_folder(data)
            servers = _start_servers(data, stack)
            ours = {
                name: os.environ[name]
                for name in _SUPPLIED_SETTINGS
                if name in os.environ and not before.get(name)
            }
            chosen = _choose_port(host, port)
            metrics = _choose_metrics_ports()
            migrate()
            address = f"http://{reachable_host(host)}:{chosen}"
            greeting = asyncio.run(_prepare_database(address, ours, metrics))
            return asyncio.run(_supervise(host, chosen, servers, greeting))
        except (ServerError, WrongCurrency) as error:
            typer.echo(str(error), err=True)
            return 1
        except KeyboardInterrupt:
            return 0
        finally:
            for number in _END_SIGNALS:  # the stop must not be interrupted
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
        os.environ["AUDIT_KEY"] = _read_or_create_key(data / _KEY)
    folders = {
        "PROOF_DIR": str(data.absolute() / "proofs"),
        "MAIL_DIR": str(data.absolute() / "mail"),
    }
    if os.environ.get("PROOF_STORE"):
        del folders["PROOF_DIR"]
    for name, value in (folders | _DEFAULT_SETTINGS).items():
        if not os.environ.get(name):
            os.environ[name] = value
    return servers


def _create_data_folder(data: Path) -> None:
    """Create the data folder if it is missing; raise ServerError if it cannot be used."""
    try:
        data.mkdir(parents=True, exist_ok=True)
        os.scandir(data).close()
        with suppress(FileNotFoundError):
            (data / _KEY).lstat()  # fails without permission to enter the folder
    except OSError as error:
        problem = access.describe_os_error(error, data.absolute())
        raise ServerError(f"The data folder cannot be used: {problem}") from error


def _read_or_create_key(file: Path) -> str:
    """Return the key in a file; create the file with a new key if it is missing."""
    try:
        with suppress(FileExistsError):
            _create_key(file)
        key = file.read_text().strip()
    except OSError as error:
        problem = access.describe_os_error(error, file.absolute())
        raise ServerError(f"The key of the record of changes cannot be used: {problem}") from error
    if not key:
        raise ServerError(
            f"{file.absolute()} is empty: restore the key of the record of changes from a backup,"
            " or remove the file to get a new key if nothing is recorded yet."
        )
    return key


def _create_key(file: Path) -> None:
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w") as created:
            created.write(f"{secrets.token_urlsafe(32)}\n")
    except OSError:
        file.unlink()  # a partial key is useless
        raise


def _choose_port(host: str, port: int) -> int:
    try:
        chosen = free_port(host, port)
    except OSError as error:
        raise ServerError(f"Cannot listen on {host}, port {port}: {error.strerror}.") from error
    if port not in (0, chosen):
        typer.echo(f"Port {port} is busy; using {chosen} instead.")
    return chosen


def _choose_metrics_ports() -> list[str]:
    """Set free ports for the metrics of API and worker; return their URLs."""
    settings = Settings()
    host = settings.metrics_host
    ports = {
        "METRICS_PORT": settings.metrics_port,
        "WORKER_METRICS_PORT": settings.worker_metrics_port,
    }
    urls = []
    for name, port in ports.items():
        if port:
            chosen = _choose_port(host, port)
            os.environ[name] = str(chosen)
            urls.append(f"http://{reachable_host(host)}:{chosen}/metrics")
    return urls


async def _prepare_database(
    address: str, environment: Mapping[str, str], metrics: Sequence[str]
) -> str:
    settings = ProofSettings()
    database = Database(settings)
    try:
        await settle_currency(database, settings)
        demonstration = await demo.load(database, settings)
        if demonstration.loaded:
            typer.echo(str(demonstration))
        created = await welcome.create_demo_tokens(database)
        if created:
            _set_demo_issuer()
        return welcome.welcome_banner(address, created, environment, metrics)
    finally:
        await database.close()


def _set_demo_issuer() -> None:
    """Set the demonstration's fictitious issuer, unless the operator has set one."""
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
            asyncio.create_task(_end_requested(asked_to_end)),
            asyncio.create_task(_api_ended(api)),
            asyncio.create_task(_server_stopped(servers)),
            asyncio.create_task(_print_welcome(host, port, greeting)),
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


async def _end_requested(asked_to_end: asyncio.Event) -> int:
    await asked_to_end.wait()
    return 0


async def _api_ended(api: asyncio.subprocess.Process) -> int:
    code = await api.wait()
    typer.echo(f"The API ended unexpectedly with code {code}.", err=True)
    return code if code > 0 else 1


async def _server_stopped(servers: Sequence[EmbeddedServer]) -> int:
    while True:
        for server in servers:
            if not server.running:
                typer.echo(
                    f"{server.name} stopped unexpectedly: {server.last_log_error()}", err=True
                )
                return 1
        await asyncio.sleep(_WATCH_SECONDS)


async def _print_welcome(host: str, port: int, greeting: str) -> int:
    """Print the welcome once the service is ready; return only if it does not become ready."""
    if await wait_until_ok(reachable_host(host), port, "/health/ready", _READY_SECONDS):
        typer.echo(greeting)
        await asyncio.Event().wait()
    typer.echo("The service did not become ready.", err=True)
    return 1
