"""Embedded PostgreSQL."""

import os
import shutil
import signal
from pathlib import Path
from urllib.parse import quote

from app.local.embedded.binaries import PostgresqlPrograms, find_postgresql
from app.local.embedded.server import EmbeddedServer, ServerError, free_port

_SOCKET_PORT = 5432
"""The port in the socket's name if there is no TCP port; the default of clients."""
_BUILTIN_LOCALES_SINCE = 17
_CONNECTIONS = 200
"""A test run has several pools at once; PostgreSQL's own default is 100."""


class EmbeddedPostgresql(EmbeddedServer):
    """A PostgreSQL with its cluster in a directory, reached over a Unix socket.

    `port` also opens that TCP port on the loopback address, without a password; 0 means a free
    port. `durable=False` loses data at a power cut and is faster: for tests.
    """

    name = "PostgreSQL"
    socket_name = ".s.PGSQL.65535.lock"
    requires_private_data = True
    # Fast shutdown, then immediate shutdown: the next start recovers from the log.
    stop_signals = ((signal.SIGINT, 30.0), (signal.SIGQUIT, 10.0))

    _programs: PostgresqlPrograms
    """Found by `prepare`."""

    def __init__(self, data_dir: Path, *, port: int | None = None, durable: bool = True) -> None:
        super().__init__(data_dir)
        self.port = free_port("127.0.0.1", 0) if port == 0 else port
        self._durable = durable

    @property
    def url(self) -> str:
        """The URL of the database `postgres`, for SQLAlchemy and libpq."""
        url = f"postgresql://postgres@/postgres?host={quote(str(self.socket_dir), safe='/')}"
        return url if self.port is None else f"{url}&port={self.port}"

    def prepare(self) -> None:
        """Create the cluster on the first start."""
        recorded = self.data / "PG_VERSION"
        major = int(recorded.read_text()) if recorded.exists() else None
        self._programs = find_postgresql(self.account, major)
        if major is None:
            self._create_cluster()

    def command(self, directory: str) -> list[str]:
        """Return the server's program and arguments, for data in `directory`."""
        options = {
            "listen_addresses": "" if self.port is None else "127.0.0.1",
            "port": str(self.port or _SOCKET_PORT),
            "unix_socket_directories": "../run",
            "max_connections": str(_CONNECTIONS),
            "timezone": "UTC",
            "log_timezone": "UTC",
        }
        if not self._durable:
            options |= {
                "fsync": "off",
                "synchronous_commit": "off",
                "full_page_writes": "off",
                "wal_level": "minimal",
                "max_wal_senders": "0",
            }
        command = [self._program("postgres"), "-D", directory]
        for name, value in options.items():
            command += ["-c", f"{name}={value}"]
        return command

    def ready(self) -> bool:
        """Return whether the server accepts connections, by the file that pg_ctl reads."""
        try:
            lines = (self.data / "postmaster.pid").read_text().splitlines()
        except FileNotFoundError:
            return False
        return len(lines) > 7 and lines[0] == str(self.pid) and lines[7].strip() == "ready"

    def _create_cluster(self) -> None:
        # Created under another name and then renamed: an interrupted cluster never looks complete.
        fresh = self.home / "data.new"
        if fresh.exists():
            shutil.rmtree(fresh)
        self.make_private_directory(fresh)
        options = [
            "--username=postgres",
            "--auth=trust",
            "--encoding=UTF8",
            "--locale=C",
            "--no-instructions",
        ]
        if self._programs.major >= _BUILTIN_LOCALES_SINCE:
            options += ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
        if not self._durable:
            options.append("--no-sync")
        initdb = self._program("initdb")
        log = self.open_log()
        try:
            self.process = self.spawn(
                lambda directory: [initdb, f"--pgdata={directory}", *options], fresh, log
            )
            failed = self.process.wait()
        finally:
            os.close(log)
        self.process = None
        if failed:
            raise ServerError(f"PostgreSQL could not create its data: {self.last_log_error()}")
        if self.data.exists():
            self.data.rmdir()
        fresh.rename(self.data)

    def _program(self, name: str) -> str:
        return str(self._programs.directory / name)
