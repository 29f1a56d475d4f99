"""A load generator for HEAD: `python -m benchmarks.heads URL STATUS CONNECTIONS SECONDS HEADER…`.

An answer to HEAD may leave out its length, and wrk would then wait for a body that never comes.
"""

import asyncio
import json
import sys
import time
from typing import cast
from urllib.parse import urlsplit

import uvloop

_END = b"\r\n\r\n"


class Client(asyncio.Protocol):
    """One connection: it asks again as soon as it is answered, until the time is over."""

    def __init__(self, request: bytes, status: int, end: float) -> None:
        self.latencies: list[float] = []
        self.unexpected = 0
        self.bytes = 0
        self.finished = asyncio.get_running_loop().create_future()
        self._request = request
        self._start = f"HTTP/1.1 {status} ".encode()
        self._end = end
        self._received = b""
        self._sent_at = 0.0
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports have the methods but not the base class.
        self._transport = cast(asyncio.Transport, transport)
        self._ask()

    def data_received(self, data: bytes) -> None:
        self._received += data
        self.bytes += len(data)
        if not self._received.endswith(_END):
            return
        now = time.perf_counter()
        self.latencies.append(now - self._sent_at)
        if not self._received.startswith(self._start):
            self.unexpected += 1
        self._received = b""
        if now < self._end:
            self._ask()
        elif not self.finished.done():
            self.finished.set_result(True)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.finished.done():
            self.finished.set_result(False)

    def close(self) -> None:
        """Close the connection."""
        if self._transport is not None:
            self._transport.close()

    def _ask(self) -> None:
        assert self._transport is not None
        self._sent_at = time.perf_counter()
        self._transport.write(self._request)


async def run(url: str, status: int, connections: int, seconds: float, headers: list[str]) -> str:
    """Send HEAD requests and return the summary, as wrk.lua writes it."""
    target = urlsplit(url)
    host, port = target.hostname or "127.0.0.1", target.port or 80
    path = target.path + (f"?{target.query}" if target.query else "")
    lines = [f"HEAD {path} HTTP/1.1", f"Host: {target.netloc}", *headers]
    request = "\r\n".join(lines).encode() + _END
    loop = asyncio.get_running_loop()
    start = time.perf_counter()
    clients = []
    for _ in range(connections):
        _, client = await loop.create_connection(
            lambda: Client(request, status, start + seconds), host, port
        )
        clients.append(client)
    whole = await asyncio.gather(*(client.finished for client in clients))
    lasted = time.perf_counter() - start
    for client in clients:
        client.close()
    latencies = sorted(latency for client in clients for latency in client.latencies)
    summary = {
        "requests": len(latencies),
        "seconds": lasted,
        "bytes": sum(client.bytes for client in clients),
        "p50_ms": _percentile(latencies, 50) * 1000,
        "p99_ms": _percentile(latencies, 99) * 1000,
        "broken": whole.count(False),
        "unexpected": sum(client.unexpected for client in clients),
    }
    return f"SUMMARY {json.dumps(summary)}"


def _percentile(ordered: list[float], percent: int) -> float:
    return ordered[min(len(ordered) - 1, len(ordered) * percent // 100)] if ordered else 0.0


if __name__ == "__main__":
    _url, _status, _connections, _seconds, *_headers = sys.argv[1:]
    print(  # noqa: T201 - its result
        uvloop.run(run(_url, int(_status), int(_connections), float(_seconds), _headers))
    )
