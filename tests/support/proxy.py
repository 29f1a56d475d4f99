"""A proxy that delays, pauses or cuts the connections between a client and a server."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Self

import httpx
from sqlalchemy import make_url

_CHUNK = 65536
_COMMIT = b"COMMIT;"
"""The statement with which the PostgreSQL driver commits."""

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@dataclass(eq=False)
class _Connection:
    client: asyncio.StreamWriter
    server: asyncio.StreamWriter
    is_committing: bool = False
    """Whether to cut the connection instead of forwarding the reply to its commit."""
    is_cut: bool = False

    def cut(self) -> None:
        self.is_cut = True
        for writer in (self.client, self.server):
            writer.transport.abort()


class Proxy:
    """Forwards connections to a server; the attributes set the faults."""

    def __init__(self, connect: Callable[[], Awaitable[Streams]]) -> None:
        self.url = ""
        """The URL of the server through this proxy, if it has one."""
        self.delay = 0.0
        """Seconds to delay each part of a reply."""
        self.forwards_replies = asyncio.Event()
        """While this is cleared, the server seems to hang."""
        self.forwards_replies.set()
        self.is_connected = asyncio.Event()
        """While this is cleared, nothing passes either way, as if a cable was cut: connections stay
        open, and new ones get no reply."""
        self.is_connected.set()
        self.commits_to_cut = 0
        """The number of connections to cut before their next COMMIT reaches the server."""
        self.commit_replies_to_cut = 0
        """The number of connections to cut after their next COMMIT, before its reply."""
        self.next_request_limit: int | None = None
        """The bytes of the next connection that reach the server before it is cut."""
        self.next_reply_limit: int | None = None
        """The bytes of the next connection that reach the client before it is cut."""
        self.cuts = 0
        """The number of connections that were cut."""
        self._connect = connect
        self._connections: set[_Connection] = set()

    def cut_all(self) -> None:
        """Cut every open connection."""
        for connection in list(self._connections):
            self._cut(connection)

    @asynccontextmanager
    async def serving(self, server: asyncio.Server) -> AsyncIterator[Self]:
        """Serve for the length of the context, then close all connections."""
        async with server:
            try:
                yield self
            finally:
                for connection in self._connections:
                    connection.cut()
                self.is_connected.set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Forward one connection until either side closes it or it is cut."""
        await self.is_connected.wait()
        try:
            server_reader, server_writer = await self._connect()
        except OSError:
            writer.transport.abort()
            return
        connection = _Connection(writer, server_writer)
        self._connections.add(connection)
        limits = self.next_request_limit, self.next_reply_limit
        self.next_request_limit = self.next_reply_limit = None
        tasks = [
            asyncio.create_task(self._forward_requests(connection, reader, limits[0])),
            asyncio.create_task(self._forward_replies(connection, server_reader, limits[1])),
        ]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            self._connections.discard(connection)
            for each in (writer, server_writer):
                each.close()

    async def _forward_requests(
        self, connection: _Connection, reader: asyncio.StreamReader, limit: int | None
    ) -> None:
        while data := await _read(reader):
            await self.is_connected.wait()
            if _COMMIT in data and self.commits_to_cut:
                self.commits_to_cut -= 1
                self._cut(connection)
                return
            if _COMMIT in data and self.commit_replies_to_cut:
                self.commit_replies_to_cut -= 1
                connection.is_committing = True
            if await self._forward(connection, connection.server, data, limit):
                return
            limit = None if limit is None else limit - len(data)

    async def _forward_replies(
        self, connection: _Connection, reader: asyncio.StreamReader, limit: int | None
    ) -> None:
        while data := await _read(reader):
            await self.forwards_replies.wait()
            await self.is_connected.wait()
            await asyncio.sleep(self.delay)
            if connection.is_committing:
                self._cut(connection)
                return
            if await self._forward(connection, connection.client, data, limit):
                return
            limit = None if limit is None else limit - len(data)

    async def _forward(
        self, connection: _Connection, writer: asyncio.StreamWriter, data: bytes, limit: int | None
    ) -> bool:
        """Write the data up to the limit; return whether the connection was cut."""
        try:
            writer.write(data[:limit])
            await writer.drain()
        except ConnectionError:
            return True
        if limit is not None and len(data) > limit:
            self._cut(connection)
        return connection.is_cut

    def _cut(self, connection: _Connection) -> None:
        if connection in self._connections:
            self._connections.discard(connection)
            self.cuts += 1
            connection.cut()


async def _read(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.read(_CHUNK)
    except ConnectionError:
        return b""


@asynccontextmanager
async def unix_proxy(server: Path, listen: Path) -> AsyncIterator[Proxy]:
    """Run a proxy that listens on one Unix socket and forwards to another."""
    proxy = Proxy(lambda: asyncio.open_unix_connection(server))
    listen.parent.mkdir(parents=True, exist_ok=True)
    async with proxy.serving(await asyncio.start_unix_server(proxy.serve, listen)):
        yield proxy


@asynccontextmanager
async def http_proxy(url: str) -> AsyncIterator[Proxy]:
    """Run a proxy on a free port in front of the API at `url`."""
    target = httpx.URL(url)
    proxy = Proxy(lambda: asyncio.open_connection(target.host, target.port))
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    proxy.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with proxy.serving(server):
        yield proxy


@asynccontextmanager
async def tcp_proxy(port: int, server_port: int) -> AsyncIterator[Proxy]:
    """Run a proxy on one port of the loopback address that forwards to another."""
    proxy = Proxy(lambda: asyncio.open_connection("127.0.0.1", server_port))
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", port)
    async with proxy.serving(server):
        yield proxy


@asynccontextmanager
async def postgresql_proxy(url: str) -> AsyncIterator[Proxy]:
    """Run a proxy in front of the PostgreSQL server of a URL with a host or a socket folder."""
    parsed = make_url(url)
    host = str(parsed.query.get("host") or parsed.host or "localhost")
    port = parsed.port or 5432

    def connect() -> Awaitable[Streams]:
        if host.startswith("/"):
            return asyncio.open_unix_connection(f"{host}/.s.PGSQL.{port}")
        return asyncio.open_connection(host, port)

    proxy = Proxy(connect)
    with TemporaryDirectory(prefix="proxy-") as folder:
        through = parsed.set(host=None, port=None, query={"host": folder})
        proxy.url = through.render_as_string(hide_password=False)
        socket = Path(folder) / ".s.PGSQL.5432"
        async with proxy.serving(await asyncio.start_unix_server(proxy.serve, socket)):
            yield proxy
