"""A connection to PostgreSQL that can hang, or be lost just when a commit is answered."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from sqlalchemy import make_url


class LossyProxy:
    """Relays connections; once `lose_next_commit` is set, drops one whose commit is done.

    While `awake` is cleared, the server seems to hang: nothing that it says arrives.
    """

    def __init__(self, url: str) -> None:
        """Stand before the server that `url` names, by its host and port or socket folder."""
        parsed = make_url(url)
        self._host = parsed.query.get("host") or parsed.host or "localhost"
        self._port = parsed.port or 5432
        self.lose_next_commit = False
        self.lost = 0
        self.awake = asyncio.Event()
        self.awake.set()

    async def relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Relay one connection until either side ends it."""
        host = str(self._host)
        if host.startswith("/"):
            connecting = asyncio.open_unix_connection(f"{host}/.s.PGSQL.{self._port}")
        else:
            connecting = asyncio.open_connection(host, self._port)
        from_server, to_server = await connecting
        committing = asyncio.Event()
        answers = asyncio.create_task(self._answers(from_server, writer, committing))
        try:
            while data := await reader.read(65536):
                if self.lose_next_commit and b"COMMIT;" in data:
                    committing.set()
                to_server.write(data)
                await to_server.drain()
        except ConnectionError:
            pass
        finally:
            to_server.close()
            await answers

    async def _answers(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        committing: asyncio.Event,
    ) -> None:
        while data := await reader.read(65536):
            await self.awake.wait()
            if committing.is_set():
                self.lose_next_commit = False
                self.lost += 1
                writer.transport.abort()
                return
            writer.write(data)
        writer.close()


@asynccontextmanager
async def lossy(url: str) -> AsyncIterator[tuple[LossyProxy, str]]:
    """Yield a proxy before the server that `url` names, and the URL by which it is reached."""
    proxy = LossyProxy(url)
    with TemporaryDirectory(prefix="proxy-") as folder:
        server = await asyncio.start_unix_server(proxy.relay, Path(folder) / ".s.PGSQL.5432")
        reached = make_url(url).set(host=None, port=None, query={"host": folder})
        async with server:
            yield proxy, reached.render_as_string(hide_password=False)
