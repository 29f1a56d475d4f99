"""PostgreSQL and Valkey as they are mistreated: killed, stopped in their tracks, emptied."""

import asyncio
import os
import signal
from contextlib import suppress
from pathlib import Path

from redis.asyncio import Redis

from app.local.embedded.postgresql import EmbeddedPostgresql
from app.local.embedded.server import EmbeddedServer
from app.local.embedded.valkey import EmbeddedValkey


class _Mistreated:
    def __init__(self, server: EmbeddedServer) -> None:
        self.server = server

    @property
    def running(self) -> bool:
        """Whether it runs now."""
        return self.server.running

    async def start(self) -> None:
        """Start it, and wait until it answers."""
        # In a thread that lasts as long as the loop does: Linux ends the server with it.
        await asyncio.to_thread(self.server.start)

    async def stop(self) -> None:
        """Stop it in order."""
        await asyncio.to_thread(self.server.stop)

    def kill(self) -> None:
        """End it, with all its processes, as a power cut would."""
        self._signal(signal.SIGKILL)
        self.server.stop()  # waits for what has ended, and leaves the directory

    def pause(self) -> None:
        """Let all its processes stand still: connections stay, and nothing is answered."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let them go on."""
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        main = self.server.pid
        children = _children(main)
        os.kill(main, number)
        for pid in children:
            with suppress(ProcessLookupError):
                os.kill(pid, number)


class PostgresqlWithEnvironment(EmbeddedPostgresql):
    """A PostgreSQL that is started with more in its environment."""

    def __init__(self, data_dir: Path, *, port: int | None = None) -> None:
        super().__init__(data_dir, port=port)
        self.environment: dict[str, str] = {}
        """What it gets at its next start."""

    def command(self, directory: str) -> list[str]:
        """Return the server's program and arguments, behind what sets the environment."""
        given = [f"{name}={value}" for name, value in self.environment.items()]
        return ["/usr/bin/env", *given, *super().command(directory)]


class Postgresql(_Mistreated):
    """A PostgreSQL that keeps its promises on disk."""

    def __init__(self, own: EmbeddedPostgresql) -> None:
        self.own = own
        super().__init__(own)

    @property
    def url(self) -> str:
        """The address of its database."""
        return self.own.url

    @property
    def socket(self) -> Path:
        """The socket that it listens at."""
        return self.own.socket_dir / ".s.PGSQL.5432"


class Valkey(_Mistreated):
    """A Valkey with its append-only file."""

    def __init__(self, place: Path) -> None:
        self._own = EmbeddedValkey(place)
        super().__init__(self._own)

    @property
    def url(self) -> str:
        """Its address."""
        return self._own.url

    @property
    def socket(self) -> Path:
        """The socket that it listens at."""
        return self._own.socket_dir / self._own.socket_name

    def client(self) -> Redis:
        """Return a client of it, to be entered as a context."""
        client: Redis = Redis.from_url(self.url)
        return client

    async def flush(self) -> None:
        """Take everything out of it."""
        async with self.client() as client:
            await client.flushall()


def _children(pid: int) -> list[int]:
    found: list[int] = []
    with suppress(FileNotFoundError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            found += map(int, (task / "children").read_text().split())
    return found
