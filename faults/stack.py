"""The whole service on this machine, with its own servers."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Self
from urllib.parse import quote

import httpx

from app.database.engine import Database
from app.payments.jobs.sweep_proofs import SAFE_AGE
from app.settings import DatabaseSettings, Settings
from faults.cluster import DatabaseCluster
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
    cluster: Callable[[Path], DatabaseCluster] | None = None
    """Servers in place of the one PostgreSQL, for a folder of theirs."""


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
        self.cluster: DatabaseCluster | None = None
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
        direct = {"DATABASE_URL": self._direct_url, "DATABASE_PGBOUNCER": "false"}
        return settings_of(self.environment | direct)

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
        database = Database(DatabaseSettings(database_url=self._direct_url))
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
        self.own_postgresql = PostgresqlWithEnvironment(home)
        self.postgresql = Postgresql(self.own_postgresql)
        self.valkey = Valkey(self.place / "valkey")
        if self.layout.cluster is None:
            await self._start(self.postgresql, opening)
            database_url = self.postgresql.url
        else:
            self.cluster = await opening.enter_async_context(self.layout.cluster(self.place))
            database_url = self.cluster.service_url
        await self._start(self.valkey, opening)
        redis_url = self.valkey.url
        url = DatabaseSettings(database_url=self._direct_url).database_url
        await asyncio.to_thread(migrate, url)
        self.smtp: MailServer = await opening.enter_async_context(run_mail_server())
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
            self.apis.append(self.program(f"api-{number}", "serve", "--port", str(port)))
        for number in range(self.layout.workers):
            self.workers.append(self.program(f"worker-{number}", "worker"))
        for program in (*self.apis, *self.workers):
            opening.push_async_callback(program.stop)

    async def _use_bucket(self, opening: AsyncExitStack) -> None:
        self.object_store = opening.enter_context(run_object_store())
        proxy = await opening.enter_async_context(http_proxy(self.object_store.url))
        self.object_store_proxy = proxy
        del self.environment["PROOF_DIR"]
        self.environment |= self.object_store.environment() | {"AWS_ENDPOINT_URL_S3": proxy.url}

    def program(self, name: str, *arguments: str) -> SupervisedProgram:
        """Return a program of the service that is not started."""
        log = self.place / f"{name}.log"
        return SupervisedProgram(name, ("-m", "app", *arguments), self.environment, log)

    @property
    def _direct_url(self) -> str:
        return self.postgresql.url if self.cluster is None else self.cluster.primary_url

    async def _start(self, server: Postgresql | Valkey, opening: AsyncExitStack) -> None:
        opening.push_async_callback(server.stop)
        await server.start()


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
