"""Clients that send too much or stop, on the wire of the real server."""

import asyncio
import json
import socket
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from urllib.parse import urlsplit

import httpx
import pytest
from sqlalchemy.ext.asyncio import AsyncConnection

from app.billing.enums import InvoiceState
from app.server.connection import HEAD_MAX_BYTES
from tests.server.test_wire import busy, with_items
from tests.support.factories import Factories, Row
from tests.support.server import Server, run_server

TIMEOUT = 2
"""The setting CLIENT_TIMEOUT, in seconds."""
CONNECTIONS = 12
"""The setting MAX_CONNECTIONS."""
END = 60.0
"""Timeout in seconds of a disconnection, on a machine that is busy with other tests."""
GET = b"GET /health/live HTTP/1.1\r\nHost: x\r\n"

Wire = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@pytest.fixture
def database_url(module_database_url: str) -> str:
    return module_database_url


@pytest.fixture(scope="module")
async def server(
    module_database_url: str, redis_server: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Server]:
    settings = {
        "DATABASE_URL": module_database_url,
        "REDIS_URL": redis_server,
        "CLIENT_TIMEOUT": str(TIMEOUT),
        "MAX_CONNECTIONS": str(CONNECTIONS),
    }
    async with run_server(settings, tmp_path_factory.mktemp("server")) as server:
        yield server


@asynccontextmanager
async def connected(server: Server, *, narrow: bool = False) -> AsyncIterator[Wire]:
    """Yield a connection; a narrow one has a small receive buffer."""
    address = urlsplit(server.url)
    plain = socket.socket()
    if narrow:
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    plain.connect((address.hostname, address.port))
    reader, writer = await asyncio.open_connection(sock=plain, limit=1024 if narrow else 2**16)
    try:
        yield reader, writer
    finally:
        writer.transport.abort()
        await asyncio.sleep(0)


async def rest(reader: asyncio.StreamReader) -> bytes:
    """Return everything that arrives until the connection ends."""
    received = b""
    async with asyncio.timeout(END):
        try:
            while data := await reader.read(2**16):
                received += data
        except ConnectionError:
            pass
    return received


def answer(received: bytes) -> tuple[int, str]:
    """Return status and detail of the only response, which closes the connection."""
    head, _, body = received.partition(b"\r\n\r\n")
    assert b"connection: close" in head.lower()
    assert b"x-content-type-options: nosniff" in head.lower()
    return int(head.split()[1]), json.loads(body)["detail"]


async def test_clients_that_send_too_much(server: Server) -> None:
    too_long = "The headers are longer than 32768 bytes together."
    no_http = "Invalid HTTP request received."
    for sent, expected in (
        (b"GET /" + b"x" * HEAD_MAX_BYTES, (414, "The URL is longer than 8192 bytes.")),
        (GET + b"X: " + b"x" * HEAD_MAX_BYTES, (431, too_long)),
        (GET + b"X: x\r\n" * (HEAD_MAX_BYTES // 6), (431, too_long)),
        (b"\x16\x03\x01 nonsense\r\n\r\n", (400, no_http)),
        (b"nonsense\r\n\r\n", (400, no_http)),
        (b"FIND / HTTP/1.1\r\nHost: x\r\n\r\n", (501, 'The method "FIND" is not supported.')),
        (b"get / HTTP/1.1\r\nHost: x\r\n\r\n", (501, 'The method "get" is not supported.')),
        (b"FI\x01ND / HTTP/1.1\r\nHost: x\r\n\r\n", (400, no_http)),
        (GET + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n", (400, no_http)),
    ):
        async with connected(server) as (reader, writer):
            writer.write(sent)
            assert answer(await rest(reader)) == expected, sent[:20]

    # A whole head is refused by the application.
    async with httpx.AsyncClient(base_url=server.url) as client:
        for path, headers, status in (
            ("/" + "x" * 8192, {}, 414),
            ("/", {"X": "x" * 8192}, 431),
            ("/", {f"X-{n}": "x" for n in range(100)}, 431),
        ):
            refused = await client.get(path, headers=headers)
            assert refused.status_code == status
            assert refused.headers["x-request-id"]

    # Bytes behind a body, or between its chunks, are bounded as well.
    chunked = b"POST /nowhere HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    for endless in (b"0\r\n" + b"X: x\r\n" * 10_000, b"1;" + b"x" * 60_000):
        async with connected(server) as (reader, writer):
            writer.write(chunked + endless)
            assert (await rest(reader)).startswith(b"HTTP/1.1 404")


async def test_a_refused_head_request_gets_no_body_and_no_type(server: Server) -> None:
    head = b"HEAD /health/live HTTP/1.1\r\nHost: x\r\n"
    for sent, status in (
        (b"HEAD /" + b"x" * HEAD_MAX_BYTES, 414),
        (head + b"X: " + b"x" * HEAD_MAX_BYTES, 431),
        (head + b"no header\r\n\r\n", 400),
        (head + b"Content-Length: 99999999999999999999\r\n\r\n", 413),
        (head, 408),
    ):
        async with connected(server) as (reader, writer):
            writer.write(sent)
            start, _, body = (await rest(reader)).partition(b"\r\n\r\n")
            assert start.startswith(b"HTTP/1.1 %d " % status), sent[:20]
            assert b"\ncontent-type" not in start.lower()
            assert b"content-length: " in start.lower()
            assert body == b""


async def test_a_malformed_request_after_head_gets_a_body(server: Server) -> None:
    head = b"HEAD /health/live HTTP/1.1\r\nHost: x\r\n\r\n"
    async with connected(server) as (reader, writer):
        writer.write(head + b"\x16\x03\x01 nonsense\r\n\r\n")
        _, _, refused = (await rest(reader)).partition(b"\r\n\r\n")
        assert answer(refused) == (400, "Invalid HTTP request received.")


async def test_clients_that_send_nothing_or_slowly(
    server: Server, make: Factories, connection: AsyncConnection
) -> None:
    invoice = await make.invoice(await make.customer(), state=InvoiceState.CREATED)
    staff = await make.staff()
    paying = (
        f"POST /api/invoices/{invoice.uuid}/paid/ HTTP/1.1\r\nHost: x\r\n"
        f"Authorization: Token {staff.key}\r\nContent-Type: application/json\r\n"
        "Content-Length: 5000\r\n\r\n"
    ).encode()

    async def trickle(writer: asyncio.StreamWriter, data: bytes) -> None:
        for byte in data:
            await asyncio.sleep(TIMEOUT / 10)
            writer.write(bytes([byte]))

    async def answer_to(start: bytes, slowly: bytes) -> tuple[bytes, float]:
        async with connected(server) as (reader, writer):
            writer.write(start)
            begun = time.monotonic()
            slow = asyncio.create_task(trickle(writer, slowly))
            received = await rest(reader)
            slow.cancel()
            return received, time.monotonic() - begun

    nothing, head, body, unread, next_head, at_work = await asyncio.gather(
        answer_to(b"", b""),
        answer_to(b"", GET + b"X: " + b"x" * 1000),
        answer_to(paying, b'{"date": "2026' + b" " * 1000),
        # Refused by the head alone, the body comes on and is dropped.
        answer_to(paying.replace(staff.key.encode(), b"unknown"), b" " * 1000),
        answer_to(GET + b"\r\n", GET + b"X: " + b"x" * 1000),
        _busy_meanwhile(connection),
    )
    assert nothing[0] == b""
    assert answer(head[0]) == (408, "The request did not come in time.")
    assert answer(body[0]) == (408, "The request body did not come in time.")
    assert unread[0].startswith(b"HTTP/1.1 401 ")
    first, second = next_head[0].split(b'{"status":"ok"}')
    assert first.startswith(b"HTTP/1.1 200")
    assert answer(second)[0] == 408
    assert min(took for _, took in (nothing, head, body, unread, next_head)) >= TIMEOUT
    # No slow client held a connection to the database.
    assert at_work == 0


async def _busy_meanwhile(connection: AsyncConnection) -> int:
    await asyncio.sleep(TIMEOUT / 2)
    return await busy(connection)


async def test_clients_that_do_not_read_their_response(
    server: Server, make: Factories, connection: AsyncConnection
) -> None:
    large, small = [await with_items(make, connection, many) for many in (3000, 400)]
    staff = await make.staff()

    def items(invoice: Row, *headers: str) -> bytes:
        path = f"/api/invoices/{invoice.uuid}/items/"
        authorization = f"Authorization: Token {staff.key}"
        lines = [f"GET {path} HTTP/1.1", "Host: x", authorization, *headers, "", ""]
        return "\r\n".join(lines).encode()

    async with connected(server, narrow=True) as (reader, writer):
        writer.write(items(large))
        assert (await reader.read(100)).startswith(b"HTTP/1.1 200")
        await _told(server, "to take more")
        # The bytes that were on their way are there; the end is not.
        assert not (await rest(reader)).endswith(b"0\r\n\r\n")
    # The system takes some megabytes of answers; one of these is the last, and the first too many.
    async with AsyncExitStack() as stack:
        for more in range(8):
            wire = connected(server, narrow=True)
            _, writer = await stack.enter_async_context(wire)
            writer.write(items(small) * more + items(small, "Connection: close"))
        await _told(server, "to take the last")
    assert await busy(connection) == 0


async def _told(server: Server, waited_for: str) -> None:
    """Wait until the server logs the timeout."""
    async with asyncio.timeout(END):
        while waited_for not in server.log.read_text():  # noqa: ASYNC110 - no event announces it
            await asyncio.sleep(0.05)


async def test_a_slow_client_that_keeps_reading_gets_everything(server: Server) -> None:
    async with connected(server, narrow=True) as (reader, writer):
        writer.write(
            b"GET /api/docs/assets/swagger-ui.css HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        )
        received = b""
        async with asyncio.timeout(END):
            while data := await reader.read(2**14):
                received += data
                await asyncio.sleep(TIMEOUT / 6)
    head, _, body = received.partition(b"\r\n\r\n")
    (length,) = (line for line in head.split(b"\r\n") if line.startswith(b"content-length"))
    assert len(body) == int(length.split()[1])


async def test_the_maximum_of_connections(server: Server) -> None:
    """Beyond the maximum requests get 503, probes pass; beyond twice that connections are reset."""
    async with httpx.AsyncClient(base_url=server.url) as client:
        held = [await _open(server) for _ in range(CONNECTIONS)]
        crowded = await client.get("/api/docs")
        assert crowded.status_code == 503
        assert crowded.json() == {"detail": "There are too many connections now. Try again."}
        assert crowded.headers["retry-after"] == "1"
        assert crowded.headers["connection"] == "close"
        assert (await client.get("/health/live")).status_code == 200
        held += [await _open(server) for _ in range(CONNECTIONS)]
        with pytest.raises(httpx.TransportError):
            await httpx.AsyncClient().get(f"{server.url}/health/live")
        for _, writer in held:
            writer.transport.abort()
        async with asyncio.timeout(END):
            while (await client.get("/api/docs")).status_code != 200:  # noqa: ASYNC110
                await asyncio.sleep(0.05)


async def _open(server: Server) -> Wire:
    address = urlsplit(server.url)
    return await asyncio.open_connection(address.hostname, address.port)
