"""Servers, databases and clients that the tests share.

Servers are started once, by the process that starts the tests, unless DATABASE_URL and REDIS_URL
name ones. Each process migrates one template database; each test that asks for a database gets a
clone of it.
"""

import asyncio
import logging
import os
import shutil
import signal
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
import structlog
from alembic import command
from alembic.config import Config
from fastapi import FastAPI
from sqlalchemy import event, make_url
from sqlalchemy.ext.asyncio import AsyncConnection

from app import clock
from app.database.engine import Database
from app.main import create_app
from app.settings import Settings
from tests.support.clients import client_of
from tests.support.databases import administer, url_of_database
from tests.support.factories import Factories
from tests.support.history import KEY
from tests.support.server import Server, run_server

ROOT = Path(__file__).parent.parent
_servers = ExitStack()
_SIGNALS = (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM)
_ROOM = 4 * 2**30
"""Bytes that the databases of all tests have room in."""


def pytest_configure(config: pytest.Config) -> None:
    """Start the servers once, before xdist starts its workers, which inherit the addresses."""
    if hasattr(config, "workerinput"):
        return
    _reset_what_was_inherited()
    os.environ["AUDIT_KEY"] = KEY.get_secret_value()
    # Processes of many tests run at once; a test that looks at metrics names a port.
    os.environ["METRICS_PORT"] = os.environ["WORKER_METRICS_PORT"] = "0"
    if "DATABASE_URL" not in os.environ:
        from app.local.embedded.postgresql import EmbeddedPostgresql

        place = _servers.enter_context(
            tempfile.TemporaryDirectory(prefix="invoicing-", dir=_memory())
        )
        Path(place).chmod(0o711)  # PgBouncer, which is never root, goes through it to the socket
        server = EmbeddedPostgresql(Path(place) / "postgresql", durable=False)
        os.environ["DATABASE_URL"] = _servers.enter_context(server).url
    if "REDIS_URL" not in os.environ:
        from app.local.embedded.valkey import EmbeddedValkey

        place = _servers.enter_context(tempfile.TemporaryDirectory(prefix="invoicing-"))
        queue = EmbeddedValkey(Path(place) / "valkey")
        os.environ["REDIS_URL"] = _servers.enter_context(queue).url


def _reset_what_was_inherited() -> None:
    """Undo what the caller's shell has set and child processes would inherit.

    A shell ignores some signals for its jobs in the background, and a developer's environment may
    hold settings of the service, a PostgreSQL client's variables or a proxy.
    """
    for number in _SIGNALS:
        if signal.getsignal(number) is signal.SIG_IGN:
            default = signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL
            signal.signal(number, default)
    for name in Settings.model_fields:
        if name not in ("database_url", "redis_url"):
            os.environ.pop(name.upper(), None)
    for name in [name for name in os.environ if name.startswith("PG")]:
        del os.environ[name]
    os.environ["NO_PROXY"] = os.environ["no_proxy"] = "127.0.0.1,localhost,::1"


def _memory() -> Path | None:
    """Return a file system in memory with room for the databases of all tests; None without.

    There a database is cloned, for each test anew, in a third of the time.
    """
    memory = Path("/dev/shm")
    if not os.access(memory, os.W_OK) or shutil.disk_usage(memory).free < _ROOM:
        return None
    return memory


def pytest_unconfigure(config: pytest.Config) -> None:
    """Stop the servers."""
    if not hasattr(config, "workerinput"):
        _servers.close()


def migrate(url: str, revision: str = "head") -> None:
    """Bring a database to a revision."""
    config = Config(ROOT / "alembic.ini")
    config.set_main_option("sqlalchemy.url", url.replace("%", "%%"))
    command.upgrade(config, revision)


@pytest.fixture(scope="session")
def template_database() -> Iterator[str]:
    """The name of a database with every migration and no rows, for cloning."""
    name = f"template_{uuid4().hex}"
    asyncio.run(administer(f"CREATE DATABASE {name}"))
    migrate(url_of_database(name))
    yield name
    asyncio.run(administer(f"DROP DATABASE {name} WITH (FORCE)"))


@asynccontextmanager
async def _clone(template: str) -> AsyncIterator[str]:
    name = f"test_{uuid4().hex}"
    await administer(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY FILE_COPY")
    try:
        yield url_of_database(name)
    finally:
        await administer(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
async def database_url(template_database: str) -> AsyncIterator[str]:
    """The URL of a database of the test's own, migrated and empty."""
    async with _clone(template_database) as url:
        yield url


@pytest.fixture
async def second_database_url(template_database: str) -> AsyncIterator[str]:
    """The URL of another such database."""
    async with _clone(template_database) as url:
        yield url


@pytest.fixture
async def empty_database_url() -> AsyncIterator[str]:
    """The URL of a database of the test's own without any table."""
    name = f"empty_{uuid4().hex}"
    await administer(f"CREATE DATABASE {name}")
    yield url_of_database(name)
    await administer(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def settings(database_url: str, tmp_path: Path) -> Settings:
    """Settings of a service on the test's own database; change with `model_copy(update=…)`."""
    return Settings(
        database_url=database_url,
        database_pool_size=5,
        redis_url=os.environ["REDIS_URL"],
        queue_name=make_url(database_url).database or "",
        mail_dir=tmp_path / "mail",
        proof_dir=tmp_path / "proofs",
        log_format="console",
    )


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
async def server(database_url: str, tmp_path: Path) -> AsyncIterator[Server]:
    """The real server on the test's own database, for tests where the wire matters."""
    async with run_server({"DATABASE_URL": database_url}, tmp_path) as server:
        yield server


@pytest.fixture(autouse=True, scope="session")
def _plain_logs() -> None:
    """Spare failing tests the pages of variables that structlog shows unless told otherwise."""
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
    """Let the test set up the logs of a process, in this one, and leave nothing of it behind."""
    root = logging.getLogger()
    handlers, level, configured = root.handlers, root.level, structlog.get_config()
    configure = structlog.configure

    def without_keeping(**options: Any) -> None:
        # A logger that is kept would write to this test's output ever after.
        configure(**options | {"cache_logger_on_first_use": False})

    monkeypatch.setattr(structlog, "configure", without_keeping)
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

    def note(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        seen.append(statement)

    engine = app.state.database.engine.sync_engine
    event.listen(engine, "before_cursor_execute", note)
    yield seen
    event.remove(engine, "before_cursor_execute", note)
