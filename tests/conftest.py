"""Fixtures that the tests share: servers, databases, the API and its clients.

No server starts before a test needs it. The process that starts the run then starts one PostgreSQL
and one Valkey for all test processes, unless DATABASE_URL and REDIS_URL name servers, and migrates
one template database. Each process has a clone of it, which its tests use one after the other:
after a test it is emptied, or replaced if the test changed more than rows.

A test whose fixtures include neither a server nor `child_processes` is marked `quick`. While a
quick test runs, DATABASE_URL and REDIS_URL are not set, and to start a process is an error: a test
that needs more than its fixtures say fails by itself.
"""

import gc
import logging
import os
import signal
import sys
from collections.abc import AsyncIterator, Generator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import hypothesis
import pytest
import structlog
from fastapi import FastAPI
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from app import clock
from app.database.engine import Database
from app.main import create_app
from app.settings import Settings
from tests.support.clients import client_of
from tests.support.databases import administration, url_of_database
from tests.support.dialect import use_shared_dialect
from tests.support.executed import noting_statements
from tests.support.factories import Factories
from tests.support.history import KEY
from tests.support.object_store import ObjectStore, run_object_store
from tests.support.paths import ROOT
from tests.support.reused_database import ReusedDatabase
from tests.support.server import Server, run_server, serve
from tests.support.server_host import POSTGRESQL, REDIS, TEMPLATE, ServerHost, request_resource

_SIGNALS = (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM)
_SERVER_FIXTURES = {"postgresql_server": POSTGRESQL, "redis_server": REDIS}
_NOT_QUICK = {*_SERVER_FIXTURES, "template_database", "child_processes"}
"""Fixtures of tests that take servers or processes."""
_PROCESS_EVENTS = frozenset({"subprocess.Popen", "os.posix_spawn", "os.fork", "os.forkpty"})
"""Events of Python's audit hooks that a new process raises."""
_host = pytest.StashKey[ServerHost]()
_running_quick_test = False


def pytest_configure(config: pytest.Config) -> None:
    """Prepare the environment; the process that starts the run also offers servers to all."""
    sys.addaudithook(_refuse_processes)
    # Tests share processors, so that the time of one example means nothing.
    hypothesis.settings.register_profile("shared", deadline=None)
    hypothesis.settings.load_profile("shared")
    use_shared_dialect()
    if hasattr(config, "workerinput"):
        return
    config.stash[_host] = ServerHost()
    _reset_inherited_environment()
    os.environ["AUDIT_KEY"] = KEY.get_secret_value()
    # Processes of many tests run at once; a test of the metrics sets a port.
    os.environ["METRICS_PORT"] = os.environ["WORKER_METRICS_PORT"] = "0"


def pytest_unconfigure(config: pytest.Config) -> None:
    """Stop the servers."""
    if host := config.stash.get(_host, None):
        host.stop()


def pytest_itemcollected(item: pytest.Item) -> None:
    """Mark a test as quick if none of its fixtures takes a server or a process."""
    if isinstance(item, pytest.Function) and not _NOT_QUICK.intersection(item.fixturenames):
        item.add_marker(pytest.mark.quick)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Exempt modules and collected tests from the cyclic garbage collections."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()
        gc.collect()
        gc.freeze()


def _refuse_processes(event: str, _arguments: object) -> None:
    if _running_quick_test and event in _PROCESS_EVENTS:
        raise AssertionError("a test that starts a process needs the fixture `child_processes`")


def _reset_inherited_environment() -> None:
    """Reset the settings that child processes would inherit from the shell that called.

    A shell ignores some signals for its background jobs, and a developer's environment may hold
    settings of the service, variables of PostgreSQL clients or a proxy.
    """
    for number in _SIGNALS:
        if signal.getsignal(number) is signal.SIG_IGN:
            default = signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL
            signal.signal(number, default)
    for name in Settings.model_fields:
        os.environ.pop(name.upper(), None)
    for name in [name for name in os.environ if name.startswith("PG")]:
        del os.environ[name]
    os.environ["NO_PROXY"] = os.environ["no_proxy"] = "127.0.0.1,localhost,::1"


@pytest.fixture(scope="session")
def postgresql_server() -> str:
    """The URL of the PostgreSQL of the test run, which is also at DATABASE_URL."""
    os.environ[POSTGRESQL] = request_resource(POSTGRESQL)
    return os.environ[POSTGRESQL]


@pytest.fixture(scope="session")
def redis_server() -> str:
    """The URL of the Valkey of the test run, which is also at REDIS_URL."""
    os.environ[REDIS] = request_resource(REDIS)
    return os.environ[REDIS]


@pytest.fixture(scope="session")
def template_database(postgresql_server: str, redis_server: str) -> str:
    """The name of a database with every migration and no rows, for cloning.

    Processes of the service that work on a clone find the Valkey in their environment.
    """
    return request_resource(TEMPLATE)


@pytest.fixture(scope="session")
def child_processes() -> None:
    """Permit a test to start processes; it is not quick then."""


@pytest.fixture(autouse=True)
def _only_what_fixtures_provide(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    global _running_quick_test  # noqa: PLW0603 - an audit hook has no other state
    for fixture, variable in _SERVER_FIXTURES.items():
        if fixture not in request.fixturenames:
            monkeypatch.delenv(variable, raising=False)
    _running_quick_test = request.node.get_closest_marker("quick") is not None
    yield
    _running_quick_test = False


@pytest.fixture(scope="session")
async def administrator(postgresql_server: str) -> AsyncIterator[AsyncConnection]:
    """The connection that creates and drops the databases of this process's tests."""
    async with administration(postgresql_server) as connection:
        yield connection


@asynccontextmanager
async def _create(administrator: AsyncConnection, options: str = "") -> AsyncIterator[str]:
    name = f"test_{uuid4().hex}"
    await administrator.execute(text(f"CREATE DATABASE {name} {options}"))
    try:
        yield url_of_database(name)
    finally:
        await administrator.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))


@pytest.fixture(scope="session")
async def _reused_database(
    administrator: AsyncConnection, template_database: str
) -> AsyncIterator[ReusedDatabase]:
    database = ReusedDatabase(administrator, template_database)
    yield database
    await database.drop()


@pytest.fixture
async def database_url(_reused_database: ReusedDatabase) -> AsyncIterator[str]:
    """The URL of a database of the test's own, migrated and empty."""
    yield await _reused_database.url()
    await _reused_database.reset()


@pytest.fixture
async def second_database_url(
    administrator: AsyncConnection, template_database: str
) -> AsyncIterator[str]:
    """The URL of another such database."""
    async with _create(administrator, f"TEMPLATE {template_database} STRATEGY FILE_COPY") as url:
        yield url


@pytest.fixture
async def empty_database_url(
    administrator: AsyncConnection, redis_server: str
) -> AsyncIterator[str]:
    """The URL of a database of the test's own without any table."""
    async with _create(administrator) as url:
        yield url


@pytest.fixture(scope="session")
def _common_settings(postgresql_server: str, redis_server: str) -> Settings:
    """Settings that all tests share, since to read the environment takes a quarter of a test."""
    return Settings(
        database_url=postgresql_server,
        database_pool_size=5,
        redis_url=redis_server,
        log_format="console",
    )


@pytest.fixture
def settings(_common_settings: Settings, database_url: str, tmp_path: Path) -> Settings:
    """Settings of a service on the test's own database; change with `model_copy(update=…)`."""
    own = {
        "database_url": database_url,
        "queue_name": f"test-{uuid4().hex}",
        "mail_dir": tmp_path / "mail",
        "proof_dir": tmp_path / "proofs",
        "issuer_details": _common_settings.issuer_details.model_copy(),
    }
    return _common_settings.model_copy(update=own)


@pytest.fixture
def object_store() -> Iterator[ObjectStore]:
    """A small object store with one empty bucket."""
    with run_object_store() as server:
        yield server


@pytest.fixture
def bucket_settings(settings: Settings, object_store: ObjectStore) -> Settings:
    """Settings of a service that stores proofs in a bucket."""
    return settings.model_copy(update=object_store.settings())


@pytest.fixture
async def database(settings: Settings) -> AsyncIterator[Database]:
    """The test's own database, as the service reaches it."""
    database = Database(settings)
    yield database
    await database.close()


@pytest.fixture
async def connection(database: Database) -> AsyncIterator[AsyncConnection]:
    """A connection that commits each statement at once."""
    async with database.reading() as connection:
        yield connection


@pytest.fixture
def make(connection: AsyncConnection) -> Factories:
    """Factories of rows."""
    return Factories(connection)


@pytest.fixture
async def server(database_url: str, redis_server: str, tmp_path: Path) -> AsyncIterator[Server]:
    """The real server on the test's own database, for tests where the wire matters."""
    async with run_server({"DATABASE_URL": database_url}, tmp_path) as server:
        yield server


@pytest.fixture(scope="module")
async def module_database_url(
    administrator: AsyncConnection, template_database: str
) -> AsyncIterator[str]:
    """The URL of a database that the tests of a module share, for a server that they share.

    Such a module overrides `database_url` to return it; each test works on rows of its own.
    """
    async with _create(administrator, f"TEMPLATE {template_database} STRATEGY FILE_COPY") as url:
        yield url


@pytest.fixture
async def api_url(settings: Settings) -> AsyncIterator[str]:
    """The URL of the API, served by this process, for clients in other processes."""
    async with serve(settings) as url:
        yield url


@pytest.fixture(scope="module")
async def module_server(
    module_database_url: str, redis_server: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Server]:
    """The real server on the database that the tests of a module share.

    Such a module overrides `server` to return it.
    """
    place = tmp_path_factory.mktemp("server")
    async with run_server({"DATABASE_URL": module_database_url}, place) as server:
        yield server


@pytest.fixture(autouse=True, scope="session")
def _plain_logs() -> None:
    """Log without the pages of variables that structlog adds to a traceback by default."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.dev.ConsoleRenderer(
                colors=False, exception_formatter=structlog.dev.plain_traceback
            ),
        ]
    )


@pytest.fixture
def own_logs(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let the test configure logging, and restore it afterwards."""
    root = logging.getLogger()
    handlers, level, configured = root.handlers, root.level, structlog.get_config()
    configure = structlog.configure

    def configure_without_cache(**options: Any) -> None:
        # A cached logger would write to this test's output in later tests, too.
        configure(**options | {"cache_logger_on_first_use": False})

    monkeypatch.setattr(structlog, "configure", configure_without_cache)
    yield
    root.handlers, root.level = handlers, level
    configure(**configured)


@pytest.fixture(autouse=True)
def _running_clock() -> Iterator[None]:
    yield
    clock.freeze(None)


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of contracts, recordings and sample data beside a development checkout."""
    place = Path(os.environ.get("SHARED_DIR", ROOT.parent / "shared"))
    if not place.is_dir():
        pytest.skip("the folder `shared` is not beside this checkout")
    return place


@pytest.fixture
async def app(settings: Settings) -> AsyncIterator[FastAPI]:
    """The API on the test's own database, started."""
    app = create_app(settings)
    async with app.router.lifespan_context(app):
        yield app


@pytest.fixture
async def client(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the API, from 127.0.0.1, that does not follow redirects."""
    async with client_of(app) as client:
        yield client


@pytest.fixture
def statements(app: FastAPI) -> Iterator[list[str]]:
    """The SQL statements that the API has executed, in their order; clear it as needed."""
    seen: list[str] = []
    with noting_statements(app, lambda statement, _: seen.append(statement)):
        yield seen
