"""Where the service listens, and whether it answers there."""

import asyncio
import errno
import socket

_POLL_SECONDS = 0.1
_ATTEMPT_SECONDS = 5.0


def free_port(host: str, port: int) -> int:
    """Return `port` where nobody listens on it, else a free one; OSError for a wrong host."""
    family, kind, protocol, _, address = socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    with socket.socket(family, kind, protocol) as probe:
        # Connections of an earlier run may linger; they keep nobody from listening.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(address)
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
            probe.bind((address[0], 0, *address[2:]))
        free: int = probe.getsockname()[1]
        return free


def reachable_host(host: str) -> str:
    """Return the host to call for one to listen on, as it stands in a URL."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - not bound here
    return f"[{host}]" if ":" in host else host


async def answers(host: str, port: int, path: str, patience: float) -> bool:
    """Wait until a GET of `path` is answered with 200; False after `patience` seconds."""
    loop = asyncio.get_running_loop()
    give_up = loop.time() + patience
    while loop.time() < give_up:
        try:
            async with asyncio.timeout(_ATTEMPT_SECONDS):
                if await _status(host, port, path) == 200:
                    return True
        except (OSError, TimeoutError, ValueError):
            pass
        await asyncio.sleep(_POLL_SECONDS)
    return False


async def _status(host: str, port: int, path: str) -> int:
    reader, writer = await asyncio.open_connection(host.strip("[]"), port)
    try:
        writer.write(f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
        line = await reader.readline()
        return int(line.split()[1]) if len(line.split()) > 1 else 0
    finally:
        writer.close()
