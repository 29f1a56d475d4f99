"""A connection to the API that breaks at a chosen byte, on the way there or on the way back."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import httpx

_READ = 65536


@dataclass
class CuttingProxy:
    """Relays connections; the next one is cut, on both sides, where the attributes say."""

    target: httpx.URL
    url: str = ""
    after_sent: int | None = None
    """Bytes of the request that reach the API; it is cut when one more comes."""
    after_received: int | None = None
    """Bytes of the answer that reach the client; it is cut once the API has begun to answer."""
    cuts: int = 0

    async def relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Relay one connection until it is cut, or either side ends it."""
        upstream, to_upstream = await asyncio.open_connection(self.target.host, self.target.port)
        there = asyncio.create_task(_pass(reader, to_upstream, self.after_sent))
        back = asyncio.create_task(_pass(upstream, writer, self.after_received))
        self.after_sent = self.after_received = None
        done, others = await asyncio.wait([there, back], return_when=asyncio.FIRST_COMPLETED)
        self.cuts += any(task.result() for task in done)
        for task in others:
            task.cancel()
        for end in (writer, to_upstream):
            end.transport.abort()


async def _pass(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, left: int | None
) -> bool:
    """Pass bytes on; tell whether it ended because a byte came that was not to pass."""
    while True:
        try:
            data = await reader.read(_READ)
        except ConnectionError:
            return False
        if not data:
            return False
        writer.write(data[:left])
        await writer.drain()
        if left is not None:
            if len(data) > left:
                return True
            left -= len(data)


@asynccontextmanager
async def cutting(url: str) -> AsyncIterator[CuttingProxy]:
    """Yield a proxy before the API at `url`."""
    proxy = CuttingProxy(httpx.URL(url))
    server = await asyncio.start_server(proxy.relay, "127.0.0.1", 0)
    proxy.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with server:
        yield proxy
