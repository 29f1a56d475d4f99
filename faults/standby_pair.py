"""A primary with a synchronous standby, and poolers in front of the two."""

import os
import signal
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Final
from urllib.parse import quote

import asyncpg  # type: ignore[import-untyped]  # it has no types

from app.local.embedded.postgresql import EmbeddedPostgresql
from app.local.embedded.server import ServerError, free_port
from faults.cluster import DatabaseCluster, url_of
from faults.programs import find_pgbouncer, find_pgpool, find_postgresql_programs
from faults.server_process import ServerProcess, make_folder
from faults.servers import Postgresql
from tests.support.pgbouncer import PORT, configuration
from tests.support.proxy import Proxy, tcp_proxy
from tests.support.worker import until

_STANDBY: Final = "standby"
_POOL: Final = 40
"""More connections to the server than the service and the suite have open at once."""
_PGBOUNCER: Final = """
query_wait_timeout = 5
server_login_retry = 1
"""


class Standby(EmbeddedPostgresql):
    """A standby that starts from a base backup of the running primary.

    It follows the primary through a port of the suite.
    """

    def __init__(self, data_dir: Path, primary: EmbeddedPostgresql, upstream_port: int) -> None:
        super().__init__(data_dir, port=0)
        self._primary = primary
        self._upstream_port = upstream_port

    def prepare(self) -> None:
        """Take the base backup before the first start."""
        if not self.data.exists():
            self._back_up()
        super().prepare()

    def command(self, directory: str) -> list[str]:
        """Return the server's program and arguments, with the address that it follows."""
        follows = (
            f"host=127.0.0.1 port={self._upstream_port} user=postgres application_name={_STANDBY}"
        )
        return [*super().command(directory), "-c", f"primary_conninfo={follows}"]

    def _back_up(self) -> None:
        program = str(find_postgresql_programs() / "pg_basebackup")
        options = ["--checkpoint=fast", "--write-recovery-conf", "--username=postgres"]
        options += ["--host=127.0.0.1", f"--port={self._primary.port}"]
        self.make_private_directory(self.data)
        log = self.open_log()
        try:
            self.process = self.spawn(
                lambda directory: [program, f"--pgdata={directory}", *options], self.data, log
            )
            failed = self.process.wait()
        finally:
            os.close(log)
        self.process = None
        if failed:
            raise ServerError(f"no base backup could be taken: {self.last_log_error()}")


class StandbyPair(DatabaseCluster):
    """A primary and its synchronous standby, which clients reach through proxies of the suite."""

    primary: Postgresql
    standby: Postgresql

    async def set_up(self, opening: AsyncExitStack) -> None:
        """Start both servers, their proxies, and the replication between them."""
        self.ports = [free_port("127.0.0.1", 0) for _ in range(2)]
        """Those of the proxies: of the primary, and of the standby."""
        upstream = free_port("127.0.0.1", 0)
        self.primary = Postgresql(EmbeddedPostgresql(self.place / "primary", port=0))
        standby = Standby(self.place / "standby", self.primary.own, upstream)
        self.standby = Postgresql(standby)
        opening.push_async_callback(self.primary.stop)
        await self.primary.start()
        self._acting = self.primary
        self._to_primary: list[Proxy] = [
            await opening.enter_async_context(tcp_proxy(port, _port(self.primary)))
            for port in (self.ports[0], upstream)
        ]
        await opening.enter_async_context(tcp_proxy(self.ports[1], _port(self.standby)))
        opening.push_async_callback(self.standby.stop)
        await self.standby.start()
        await self._replicate_synchronously()

    @property
    def service_url(self) -> str:
        """The URL of both servers."""
        return url_of(*self.ports)

    @property
    def primary_url(self) -> str:
        """The URL of the server that is the primary for the suite, without a proxy."""
        return url_of(_port(self._acting))

    @property
    def isolated_url(self) -> str:
        """The URL of both servers for a client that keeps its connection to the first primary."""
        return url_of(_port(self.primary), self.ports[1])

    @property
    def probe_urls(self) -> Sequence[str]:
        """The URL of each server."""
        return [url_of(port) for port in self.ports]

    def cut_off(self) -> None:
        """Cut the network of the primary: no client and no standby reaches it any more."""
        for proxy in self._to_primary:
            proxy.is_connected.clear()

    async def promote(self) -> None:
        """Make the standby the primary."""
        self._acting = self.standby
        await _execute(self.primary_url, "SELECT pg_promote()")

    async def _replicate_synchronously(self) -> None:
        url = url_of(_port(self.primary))
        await _execute(url, f"ALTER SYSTEM SET synchronous_standby_names = '{_STANDBY}'")
        await _execute(url, "SELECT pg_reload_conf()")

        async def is_synchronous() -> object:
            return await _execute(url, "SELECT FROM pg_stat_replication WHERE sync_state = 'sync'")

        await until(is_synchronous)


class PairBehindPgbouncer(StandbyPair):
    """PgBouncer in transaction mode before the pair; a promotion points it to the new primary."""

    async def set_up(self, opening: AsyncExitStack) -> None:
        """Start the servers, then PgBouncer."""
        await super().set_up(opening)
        self._folder = make_folder(self.place / "pgbouncer")
        self._point_to(self.ports[0])
        self._pgbouncer = ServerProcess(
            find_pgbouncer(), ["--quiet", "pgbouncer.ini"], self._folder, stop_signal=signal.SIGINT
        )
        opening.push_async_callback(self._pgbouncer.stop)
        await self._pgbouncer.start()
        await _until_connected(self.service_url, self._pgbouncer)

    @property
    def service_url(self) -> str:
        """The URL of PgBouncer's socket."""
        host = quote(str(self._folder), safe="/")
        return f"postgresql://postgres@/postgres?host={host}&port={PORT}"

    @property
    def probe_urls(self) -> Sequence[str]:
        """The URL of the service."""
        return [self.service_url]

    async def promote(self) -> None:
        """Promote the standby, and have PgBouncer connect to it."""
        await super().promote()
        self._point_to(self.ports[1])
        self._pgbouncer.send(signal.SIGHUP)

    def _point_to(self, port: int) -> None:
        text = configuration(url_of(port), self._folder, connections=_POOL, options=_PGBOUNCER)
        (self._folder / "pgbouncer.ini").write_text(text)
        (self._folder / "pgbouncer.ini").chmod(0o644)


class PairBehindPgpool(StandbyPair):
    """pgpool before the pair; it promotes the standby by itself once the primary is away."""

    async def set_up(self, opening: AsyncExitStack) -> None:
        """Start the servers, then pgpool."""
        await super().set_up(opening)
        folder = make_folder(self.place / "pgpool")
        self._port = free_port("127.0.0.1", 0)
        (folder / "pgpool.conf").write_text(self._configuration(folder))
        files = ["-f", "pgpool.conf", "-F", "pcp.conf", "-a", "pool_hba.conf"]
        pgpool = ServerProcess(find_pgpool(), ["-n", *files], folder, stop_signal=signal.SIGINT)
        opening.push_async_callback(pgpool.stop)
        await pgpool.start()
        await _until_connected(self.service_url, pgpool)

    @property
    def service_url(self) -> str:
        """The URL of pgpool."""
        return url_of(self._port)

    @property
    def probe_urls(self) -> Sequence[str]:
        """The URL of the service."""
        return [self.service_url]

    @property
    def primary_url(self) -> str:
        """The URL of both servers: pgpool decides which one is the primary."""
        return url_of(_port(self.primary), _port(self.standby))

    def _configuration(self, folder: Path) -> str:
        psql = find_postgresql_programs() / "psql"
        promote = f'{psql} -h %H -p %r -U postgres -d postgres -c "SELECT pg_promote()"'
        settings = {
            "backend_clustering_mode": "streaming_replication",
            "listen_addresses": "127.0.0.1",
            "port": self._port,
            "socket_dir": folder,
            "pcp_listen_addresses": "127.0.0.1",
            "pcp_port": free_port("127.0.0.1", 0),
            "pcp_socket_dir": folder,
            "pid_file_name": folder / "pgpool.pid",
            "logdir": folder,
            "work_dir": folder,
            "num_init_children": 60,
            # Sessions are the service's own, with its timeouts, and all go to the primary.
            "connection_cache": "off",
            "load_balance_mode": "off",
            "health_check_period": 1,
            "health_check_timeout": 2,
            "health_check_user": "postgres",
            "health_check_database": "postgres",
            "sr_check_period": 1,
            "sr_check_user": "postgres",
            "sr_check_database": "postgres",
            "failover_command": promote,
        }
        for number, port in enumerate(self.ports):
            settings |= {
                f"backend_hostname{number}": "127.0.0.1",
                f"backend_port{number}": port,
                f"backend_flag{number}": "ALLOW_TO_FAILOVER",
            }
        return "".join(f"{name} = '{value}'\n" for name, value in settings.items())


def _port(server: Postgresql) -> int:
    port = server.own.port
    assert port is not None
    return port


async def _execute(url: str, statement: str) -> list[asyncpg.Record]:
    connection = await asyncpg.connect(url, statement_cache_size=0)
    try:
        rows: list[asyncpg.Record] = await connection.fetch(statement)
        return rows
    finally:
        await connection.close()


async def _until_connected(url: str, server: ServerProcess) -> None:
    async def is_connected() -> bool:
        server.check()
        try:
            return bool(await _execute(url, "SELECT 1"))
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
            return False

    await until(is_connected)
