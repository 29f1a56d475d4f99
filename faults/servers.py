"""PostgreSQL and Valkey servers that can be killed, suspended and emptied."""

import asyncio
import os
import signal
from contextlib import suppress
from pathlib import Path

from redis.asyncio import Redis

from app.local.embedded.postgresql import EmbeddedPostgresql
from app.local.embedded.server import EmbeddedServer
from app.local.embedded.valkey import EmbeddedValkey


class _FaultableServer:
    def __init__(self, server: EmbeddedServer) -> None:
        self.server = server

    @property
    def running(self) -> bool:
        """Whether the server runs."""
        return self.server.running

    async def start(self) -> None:
        """Start the server and wait until it answers."""
        # In a thread of the loop's executor: Linux ends the server when its thread ends.
        await asyncio.to_thread(self.server.start)

    async def stop(self) -> None:
        """Stop the server gracefully."""
        await asyncio.to_thread(self.server.stop)

    def kill(self) -> None:
        """Kill all its processes."""
        self._signal(signal.SIGKILL)
        self.server.stop()  # waits for the killed process and releases the directory

    def pause(self) -> None:
        """Suspend all its processes: connections stay open without replies."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Resume all its processes."""
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        main = self.server.pid
        children = children_of(main)
        os.kill(main, number)
        for pid in children:
            with suppress(ProcessLookupError):
                os.kill(pid, number)


class PostgresqlWithEnvironment(EmbeddedPostgresql):
    """A PostgreSQL server with additional environment variables."""

    def __init__(self, data_dir: Path, *, port: int | None = None) -> None:
        super().__init__(data_dir, port=port)
        self.environment: dict[str, str] = {}
        """The variables of its next start."""

    def command(self, directory: str) -> list[str]:
        """Return the command with `env` in front, which sets the variables."""
        given = [f"{name}={value}" for name, value in self.environment.items()]
        return ["/usr/bin/env", *given, *super().command(directory)]


class Postgresql(_FaultableServer):
    """A PostgreSQL server with fsync."""

    def __init__(self, own: EmbeddedPostgresql) -> None:
        self.own = own
        super().__init__(own)

    @property
    def url(self) -> str:
        """The URL of its database."""
        return self.own.url

    @property
    def socket(self) -> Path:
        """The path of its Unix socket."""
        return self.own.socket_dir / ".s.PGSQL.5432"


class Valkey(_FaultableServer):
    """A Valkey server with an append-only file."""

    def __init__(self, place: Path) -> None:
        self._own = EmbeddedValkey(place)
        super().__init__(self._own)

    @property
    def url(self) -> str:
        """Its URL."""
        return self._own.url

    @property
    def socket(self) -> Path:
        """The path of its Unix socket."""
        return self._own.socket_dir / self._own.socket_name

    def client(self) -> Redis:
        """Return a client; use it as a context manager."""
        client: Redis = Redis.from_url(self.url)
        return client

    async def flush(self) -> None:
        """Delete all its data."""
        async with self.client() as client:
            await client.flushall()


def children_of(pid: int) -> list[int]:
    """Return the child processes of a process; none if it has ended."""
    found: list[int] = []
    with suppress(FileNotFoundError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            found += map(int, (task / "children").read_text().split())
    return found
