"""One response of very many items: time to first byte, total time, memory of the server."""

import asyncio
import socket
import time
from urllib.parse import urlsplit

import httpx

from benchmarks.cases import LIST, Subjects, authorization
from benchmarks.console import Unusable
from benchmarks.results import Stream
from benchmarks.servers import Environment, Server
from benchmarks.shape import STAFF_KEY

SLOW_SECONDS = 22
"""How long the slow reader takes; the figure asks for 20 at least."""
_CHUNK = 64 * 1024
_EVERY = 0.02
"""Seconds between two looks at the server's memory."""
_WARM = 40


async def measure(environment: Environment, url: str, subjects: Subjects) -> list[Stream]:
    """Read the largest invoice and its items, fast and then slowly, each from a fresh server."""
    streams = []
    for name, path in (
        ("items", f"{LIST}{subjects.huge}/items/"),
        ("invoice", f"{LIST}{subjects.huge}/"),
    ):
        size = 0
        for slow in (False, True):
            async with environment.service(url) as server:
                await _warm(server, subjects)
                rate = size / SLOW_SECONDS if slow else None
                stream = await _read(server, name, path, rate)
            size = stream.bytes
            streams.append(stream)
    return streams


async def _warm(server: Server, subjects: Subjects) -> None:
    """Send ordinary requests, so that the caches of the server are filled."""
    paths = (LIST, f"{LIST}{subjects.large}/", f"{LIST}{subjects.large}/items/")
    async with httpx.AsyncClient(base_url=server.url, headers=authorization(STAFF_KEY)) as client:
        for _ in range(_WARM):
            for path in paths:
                (await client.get(path)).raise_for_status()


async def _read(server: Server, name: str, path: str, rate: float | None) -> Stream:
    before = server.memory()
    watching = asyncio.create_task(_watch(server))
    try:
        received, first, whole = await _fetch(server, path, rate)
    finally:
        watching.cancel()
        (peak,) = await asyncio.gather(watching, return_exceptions=False)
    return Stream(name, rate is not None, received, first, whole, before, max(before, peak))


async def _watch(server: Server) -> int:
    """Return the most memory that the server had until this task is cancelled."""
    peak = 0
    try:
        while True:
            peak = max(peak, server.memory())
            await asyncio.sleep(_EVERY)
    except asyncio.CancelledError:
        return peak


async def _fetch(server: Server, path: str, rate: float | None) -> tuple[int, float, float]:
    """Read an answer, at most at `rate` bytes per second; return its size and both times.

    By a small buffer, so that what the reader does not take stays with the server.
    """
    target = urlsplit(server.url)
    with socket.socket() as connection:
        if rate is not None:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _CHUNK)
        connection.setblocking(False)
        await asyncio.get_running_loop().sock_connect(connection, (target.hostname, target.port))
        start = time.perf_counter()
        request = (
            f"GET {path} HTTP/1.1\r\nHost: {target.netloc}\r\nConnection: close\r\n"
            f"Authorization: Token {STAFF_KEY}\r\n\r\n"
        )
        await asyncio.get_running_loop().sock_sendall(connection, request.encode())
        received, first, opening = 0, 0.0, b""
        while chunk := await asyncio.get_running_loop().sock_recv(connection, _CHUNK):
            if not received:
                first, opening = time.perf_counter() - start, chunk
            received += len(chunk)
            if rate is not None:
                ahead = received / rate - (time.perf_counter() - start - first)
                await asyncio.sleep(max(0.0, ahead))
        whole = time.perf_counter() - start
    if not opening.startswith(b"HTTP/1.1 200 "):
        raise Unusable(f"{path} is answered with {opening[:200]!r}.")
    return received, first, whole
