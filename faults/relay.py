"""A way to a server on a Unix socket that can be slow, be cut, or break at a commit."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

_READ = 65536
_COMMIT = b"COMMIT;"
"""How the driver of PostgreSQL asks for a commit."""


class Relay:
    """Passes on what clients and a server say; what its attributes say happens on the way."""

    def __init__(self, server: Path) -> None:
        self.server = server
        self.delay = 0.0
        """Seconds that each part of an answer is held back."""
        self.cuts_left_after_commit = 0
        """Connections to lose as soon as their commit is done, before its answer."""
        self.cuts_left_before_commit = 0
        """Connections to lose just when a commit is asked for."""
        self.cut = 0
        """Connections that were lost."""
        self._open: set[asyncio.StreamWriter] = set()

    def cut_all(self) -> None:
        """Lose every connection that there is now."""
        for writer in list(self._open):
            self._lose(writer)

    async def relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Relay one connection until either side ends it or it is lost."""
        try:
            from_server, to_server = await asyncio.open_unix_connection(self.server)
        except OSError:
            writer.transport.abort()
            return
        self._open.add(writer)
        committing = asyncio.Event()
        answers = asyncio.create_task(self._answers(from_server, writer, committing))
        try:
            while data := await reader.read(_READ):
                if _COMMIT in data:
                    if self.cuts_left_before_commit:
                        self.cuts_left_before_commit -= 1
                        self._lose(writer)
                        break
                    if self.cuts_left_after_commit:
                        self.cuts_left_after_commit -= 1
                        committing.set()
                to_server.write(data)
                await to_server.drain()
        except ConnectionError:
            pass
        finally:
            to_server.close()
            with suppress(ConnectionError):
                await answers
            self._open.discard(writer)

    async def _answers(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, committing: asyncio.Event
    ) -> None:
        while data := await reader.read(_READ):
            if self.delay:
                await asyncio.sleep(self.delay)
            if committing.is_set():
                self._lose(writer)
                return
            writer.write(data)
        writer.close()

    def _lose(self, writer: asyncio.StreamWriter) -> None:
        if writer in self._open:
            self._open.discard(writer)
            self.cut += 1
            writer.transport.abort()


@asynccontextmanager
async def relayed(server: Path, through: Path) -> AsyncIterator[Relay]:
    """Yield a relay that listens at `through` and leads to the server's socket."""
    relay = Relay(server)
    through.parent.mkdir(parents=True, exist_ok=True)
    async with await asyncio.start_unix_server(relay.relay, through):
        try:
            yield relay
        finally:
            relay.cut_all()
