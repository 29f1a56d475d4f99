"""The whole service on this machine, with its own servers."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Self
from urllib.parse import quote

import httpx
from sqlalchemy import text

from app.database.engine import Database
from app.payments.jobs.sweep_proofs import SAFE_AGE
from app.settings import DatabaseSettings, Settings
from faults.disk import small_disk
from faults.program import SupervisedProgram
from faults.servers import Postgresql, PostgresqlWithEnvironment, Valkey
from tests.support.databases import migrate
from tests.support.history import KEY
from tests.support.object_store import ObjectStore, run_object_store
from tests.support.proxy import Proxy, http_proxy, unix_proxy
from tests.support.server import free_port
from tests.support.settings import settings_of
from tests.support.smtp import MailServer, run_mail_server
from tests.support.standby import STANDBY_NAME, Standby, url_of_both

_START_SECONDS = 60.0


@dataclass(frozen=True)
class Layout:
    """The processes, servers and disks that a case needs."""

    apis: int = 1
    workers: int = 1
    settings: Mapping[str, str] = field(default_factory=dict)
    """Settings that override the usual ones."""
    proxied: bool = False
    """Whether PostgreSQL and Valkey are reached through proxies."""
    disk: int | None = None
    """The size in bytes of a separate file system for PostgreSQL; None for the machine's."""
    proof_disk: int | None = None
    """The size in bytes of a separate file system for proofs; None for the machine's."""
    bucket: bool = False
    """Whether proofs are in an object store, which is reached through a proxy."""
    standby: bool = False
    """Whether PostgreSQL has a synchronous standby. The service knows the addresses of both servers
    and connects to the one that accepts changes."""


class Stack:
    """The servers and processes for the length of the context."""

    def __init__(self, layout: Layout = Layout()) -> None:
        self.layout = layout
        self.environment: dict[str, str] = {}
        """Variables of the next start of a program, in addition to those of this process."""
        self.apis: list[SupervisedProgram] = []
        self.urls: list[str] = []
        """The URLs of the APIs, in order."""
        self.workers: list[SupervisedProgram] = []
        self.standby: Postgresql | None = None
        self.postgresql_proxy: Proxy | None = None
        self.valkey_proxy: Proxy | None = None
        self.object_store: ObjectStore | None = None
        self.object_store_proxy: Proxy | None = None
        self._open = AsyncExitStack()

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as opening:
            await self._set_up(opening)
            self._open = opening.pop_all()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._open.aclose()

    @property
    def settings(self) -> Settings:
        """The settings of the programs, with a direct connection to the database."""
        return settings_of(self.environment | {"DATABASE_URL": self.postgresql.url})

    @property
    def proofs(self) -> Path:
        """The directory of the proofs of payment."""
        return Path(self.environment["PROOF_DIR"])

    def age_objects(self) -> None:
        """Make the objects of the bucket, if there is one, old enough for the sweep."""
        if self.object_store is not None:
            objects = self.object_store.objects
            for key, stored in list(objects.items()):
                objects[key] = replace(stored, modified=stored.modified - 2 * SAFE_AGE)

    @asynccontextmanager
    async def database(self) -> AsyncIterator[Database]:
        """Yield direct connections to PostgreSQL for the suite itself."""
        database = Database(DatabaseSettings(database_url=self.postgresql.url))
        try:
            yield database
        finally:
            await database.close()

    async def start_programs(self) -> None:
        """Start APIs and workers, and wait until the APIs answer."""
        for program in (*self.apis, *self.workers):
            await program.start()
        for url in self.urls:
            await wait_until_live(url)

    async def _set_up(self, opening: AsyncExitStack) -> None:
        self.place = Path(opening.enter_context(TemporaryDirectory(prefix="invoicing-faults-")))
        home = self.place / "postgresql"
        if self.layout.disk is not None:
            opening.enter_context(small_disk(home, self.layout.disk))
        if self.layout.proof_disk is not None:
            opening.enter_context(small_disk(self.place / "proofs", self.layout.proof_disk))
        port = 0 if self.layout.standby else None
        self.own_postgresql = PostgresqlWithEnvironment(home, port=port)
        self.postgresql = Postgresql(self.own_postgresql)
        self.valkey = Valkey(self.place / "valkey")
        for server in (self.postgresql, self.valkey):
            opening.push_async_callback(server.stop)
            await server.start()
        url = DatabaseSettings(database_url=self.postgresql.url).database_url
        await asyncio.to_thread(migrate, url)
        self.smtp: MailServer = await opening.enter_async_context(run_mail_server())
        database_url, redis_url = self.postgresql.url, self.valkey.url
        if self.layout.standby:
            database_url = await self._start_standby(opening)
        if self.layout.proxied:
            folder = self.place / "proxies"
            database_url = f"postgresql://postgres@/postgres?host={quote(str(folder), safe='/')}"
            redis_url = f"unix://{folder}/valkey.sock"
            self.postgresql_proxy = await opening.enter_async_context(
                unix_proxy(self.postgresql.socket, folder / ".s.PGSQL.5432")
            )
            self.valkey_proxy = await opening.enter_async_context(
                unix_proxy(self.valkey.socket, folder / "valkey.sock")
            )
        self.environment |= {
            "DATABASE_URL": database_url,
            "REDIS_URL": redis_url,
            "QUEUE_NAME": "faults",
            "JOB_LEASE": "5",
            "AUDIT_KEY": KEY.get_secret_value(),
            "PROOF_DIR": str(self.place / "proofs"),
            "MAIL_DIR": str(self.place / "mail"),
            "SMTP_URL": self.smtp.url,
            "SMTP_TIMEOUT": "3",
            "MAIL_FROM": "billing@example.com",
            "PUBLIC_URL": "http://invoicing.example",
            "ISSUER_DETAILS": '{"name": "Example Cloud", "country": "EE"}',
            "LOG_FORMAT": "json",
            **self.layout.settings,
        }
        if self.layout.bucket:
            await self._use_bucket(opening)
        for number in range(self.layout.apis):
            port = free_port()
            self.urls.append(f"http://127.0.0.1:{port}")
            arguments = ("-m", "app", "serve", "--port", str(port))
            self.apis.append(self._program(f"api-{number}", *arguments))
        for number in range(self.layout.workers):
            self.workers.append(self._program(f"worker-{number}", "-m", "app", "worker"))
        for program in (*self.apis, *self.workers):
            opening.push_async_callback(program.stop)

    async def _use_bucket(self, opening: AsyncExitStack) -> None:
        self.object_store = opening.enter_context(run_object_store())
        proxy = await opening.enter_async_context(http_proxy(self.object_store.url))
        self.object_store_proxy = proxy
        del self.environment["PROOF_DIR"]
        self.environment |= self.object_store.environment() | {"AWS_ENDPOINT_URL_S3": proxy.url}

    async def _start_standby(self, opening: AsyncExitStack) -> str:
        """Start a synchronous standby; return the address of both servers."""
        primary = self.postgresql.own
        standby = Standby(self.place / "standby", primary)
        self.standby = Postgresql(standby)
        opening.push_async_callback(self.standby.stop)
        await self.postgresql.stop()
        await self.standby.start()
        await self.postgresql.start()
        async with self.database() as database, database.reading() as connection:
            statement = f"ALTER SYSTEM SET synchronous_standby_names = '{STANDBY_NAME}'"
            await connection.execute(text(statement))
            await connection.execute(text("SELECT pg_reload_conf()"))
        return url_of_both(primary, standby, "read-write")

    def _program(self, name: str, *arguments: str) -> SupervisedProgram:
        return SupervisedProgram(name, arguments, self.environment, self.place / f"{name}.log")


async def wait_until_live(url: str) -> None:
    """Wait until an API answers; raises TimeoutError."""
    async with asyncio.timeout(_START_SECONDS), httpx.AsyncClient(base_url=url) as client:
        while True:
            try:
                if (await client.get("/health/live")).status_code == 200:
                    return
            except httpx.TransportError:
                pass
            await asyncio.sleep(0.05)
