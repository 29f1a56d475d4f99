"""Finding a port, and waiting for an answer on it."""

import asyncio
import socket
from asyncio import StreamReader, StreamWriter

import pytest

from app.local.embedded.server import free_port
from app.local.supervisor.addresses import reachable_host, wait_until_ok


def test_a_free_port_is_kept_and_a_busy_one_exchanged() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        busy = taken.getsockname()[1]
        other = free_port("127.0.0.1", busy)
        assert other != busy
        assert free_port("127.0.0.1", other) == other
    assert free_port("127.0.0.1", busy) == busy


def test_a_host_that_is_not_ours_is_an_error() -> None:
    with pytest.raises(OSError, match="assign requested address"):
        free_port("192.0.2.1", 8000)


@pytest.mark.parametrize(
    ("listening", "called"),
    [
        ("0.0.0.0", "127.0.0.1"),
        ("::", "[::1]"),
        ("::1", "[::1]"),
        ("localhost", "localhost"),
    ],
)
def test_the_host_to_call(listening: str, called: str) -> None:
    assert reachable_host(listening) == called


async def test_answers_waits_for_a_good_answer() -> None:
    status = b"503 Service Unavailable"
    asked = []

    async def answer(reader: StreamReader, writer: StreamWriter) -> None:
        asked.append(await reader.readline())
        writer.write(b"HTTP/1.1 " + status + b"\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        assert not await wait_until_ok("127.0.0.1", port, "/ready", 0.3)
        status = b"200 OK"
        assert await wait_until_ok("127.0.0.1", port, "/ready", 5)
    assert asked[0] == b"GET /ready HTTP/1.1\r\n"
    assert not await wait_until_ok("127.0.0.1", port, "/ready", 0.3)
