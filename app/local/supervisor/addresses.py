"""The address of the service, and a wait until it answers."""

import asyncio

_POLL_SECONDS = 0.1
_ATTEMPT_SECONDS = 5.0


def reachable_host(host: str) -> str:
    """Return the host for a URL that reaches a listener on `host`."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - not bound here
    return f"[{host}]" if ":" in host else host


async def wait_until_ok(host: str, port: int, path: str, seconds: float) -> bool:
    """Wait until GET `path` answers 200; return False after `seconds`."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + seconds
    while loop.time() < deadline:
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
