"""Requests whose end is unknown, on the wire of the real server.

Each is answered in the one shape of errors, nothing is changed, and the connection ends: what comes
behind it is no request.
"""

import asyncio
import json
from urllib.parse import urlsplit

import pytest
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from app.invoices.models import Invoice
from app.payments.models import Payment
from tests.support.factories import Factories, Row
from tests.support.server import Server

PATIENCE = 60.0
"""Timeout in seconds of a response, on a machine that is busy with other tests."""
CHUNKED = "Transfer-Encoding: chunked\r\n"
WHOLE = '17\r\n{"date": "2026-11-05"} \r\n0\r\n\r\n'
NEXT = "GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n"
ALIVE = '{"status":"ok"}'


class Wire:
    """Sends bytes to a server that has an invoice to pay."""

    def __init__(self, server: Server, connection: AsyncConnection, invoice: Row, key: str) -> None:
        self.server = server
        self._connection = connection
        self._invoice = invoice
        self.head = (
            f"POST /api/invoices/{invoice.uuid}/paid/ HTTP/1.1\r\nHost: x\r\n"
            "Content-Type: application/json\r\n"
        )
        """The head of a payment, without the headers of its body."""
        self.authorization = f"Authorization: Token {key}\r\n"

    @property
    def paying(self) -> str:
        """The head of a payment that would be accepted."""
        return f"{self.head}{self.authorization}"

    async def answers(self, *parts: str, until_closed: bool = True) -> list[tuple[int, str]]:
        """Send the parts one after the other; return status and body of each response.

        The connection must end after them, unless `until_closed` is false.
        """
        address = urlsplit(self.server.url)
        reader, writer = await asyncio.open_connection(address.hostname, address.port)
        received = b""
        try:
            for number, part in enumerate(parts):
                await asyncio.sleep(0.1 if number else 0)  # so that it arrives by itself
                writer.write(part.encode("latin-1"))
            async with asyncio.timeout(PATIENCE):
                while data := await reader.read(2**16):
                    received += data
                    if not until_closed and received.endswith(b"}"):
                        break
        finally:
            writer.transport.abort()
        return _parsed(received)

    async def state(self) -> tuple[str, int]:
        """Return the invoice's state, and the number of its payments."""
        invoice = self._invoice.id
        states = select(Invoice.state).where(Invoice.id == invoice)
        state = (await self._connection.execute(states)).scalar_one()
        payments = select(Payment.id).where(Payment.invoice_id == invoice)
        return state, len((await self._connection.execute(payments)).all())


def _parsed(received: bytes) -> list[tuple[int, str]]:
    answers = []
    while received:
        head, _, rest = received.partition(b"\r\n\r\n")
        first, *lines = head.decode().lower().split("\r\n")
        headers = dict(line.split(": ", 1) for line in lines)
        length = int(headers.get("content-length", 0))
        answers.append((int(first.split()[1]), rest[:length].decode()))
        received = rest[length:]
    return answers


@pytest.fixture
def database_url(module_database_url: str) -> str:
    return module_database_url


@pytest.fixture
def server(module_server: Server) -> Server:
    return module_server


@pytest.fixture
async def wire(server: Server, make: Factories, connection: AsyncConnection) -> Wire:
    return Wire(server, connection, await make.payable_invoice(), (await make.staff()).key)


async def test_a_length_beyond_64_bits_is_refused_first(wire: Wire) -> None:
    length = 11 * 2**20
    error_body = json.dumps({"detail": f"The request body is larger than {length} bytes."}).replace(
        ": ", ":", 1
    )
    health, nowhere = "GET /health/live HTTP/1.1\r\nHost: x\r\n", "POST /no HTTP/1.1\r\nHost: x\r\n"
    asking = f"{wire.paying}Expect: 100-continue\r\n"
    wrong = f"{wire.head}Authorization: Token wrong\r\n"
    for head in (wire.paying, wire.head, wrong, nowhere, health, asking):
        for number in (length + 1, 10**15, 2**64 - 1, 2**64, 10**30):
            # No byte of the body is sent: the answer does not wait for it.
            sent = f"{head}Content-Length: {number}\r\n\r\n"
            assert await wire.answers(sent) == [(413, error_body)], sent
    too_long_for_json = f"{asking}Content-Length: {2 * 2**20}\r\n\r\n"
    [(status, _)] = await wire.answers(too_long_for_json)
    assert status == 413
    assert await wire.state() == ("created", 0)


@pytest.mark.parametrize(
    ("chunks", "detail"),
    [
        ("zz\r\n{}\r\n0\r\n\r\n", "Invalid character in chunk size"),
        ("-2\r\n{}\r\n0\r\n\r\n", "Invalid character in chunk size"),
        ("\r\n{}\r\n0\r\n\r\n", "Invalid character in chunk size"),
        (f"{'f' * 17}\r\n{{}}\r\n0\r\n\r\n", "Chunk size overflow"),
        ("2\r\n{}0\r\n\r\n", "Expected LF after chunk data"),
        ("2\r\n{ }\r\n0\r\n\r\n", "Expected LF after chunk data"),
        ("2\n{}\n0\n\n", "Missing expected CR after chunk size"),
        ("2;a\rb\r\n{}\r\n0\r\n\r\n", "Expected LF after chunk size"),
        (f"{WHOLE[:-2]}bad trailer\r\n\r\n", "Invalid header token"),
    ],
)
async def test_a_malformed_chunk_is_refused(wire: Wire, chunks: str, detail: str) -> None:
    head = f"{wire.paying}{CHUNKED}\r\n"
    for parts in ((head + chunks + NEXT,), (head, chunks + NEXT), (head + "1\r\n \r\n", chunks)):
        error_body = f'{{"detail":"The request body is broken: {detail}."}}'
        assert await wire.answers(*parts) == [(400, error_body)], parts
    assert await wire.state() == ("created", 0)
    assert "Traceback" not in wire.server.log.read_text()


async def test_a_body_without_a_known_end_is_refused(wire: Wire) -> None:
    for headers, body, status in (
        ("Transfer-Encoding: gzip, chunked\r\n", WHOLE, 501),
        ("Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n", WHOLE, 501),
        ("Transfer-Encoding: gzip\r\n", "{}", 400),
        ("Transfer-Encoding: identity\r\n", "{}", 400),
        ("Transfer-Encoding: identity\r\nContent-Length: 2\r\n", "{}", 400),
        ("Transfer-Encoding: chunked, identity\r\n", WHOLE, 400),
        ("Transfer-Encoding: chunked;q=1\r\n", WHOLE, 400),
        ("Transfer-Encoding: xchunked\r\n", WHOLE, 400),
        ("Transfer-Encoding: \x0bchunked\r\n", WHOLE, 400),
        (CHUNKED + CHUNKED, WHOLE, 400),
        (CHUNKED + "Content-Length: 2\r\n", WHOLE, 400),
        ("Content-Length: 2\r\n" + CHUNKED, WHOLE, 400),
        ("Content-Length: 2\r\nContent-Length: 2\r\n", "{}", 400),
        ("Content-Length: 2, 2\r\n", "{}", 400),
        ("Content-Length: +2\r\n", "{}", 400),
        ("Content-Length: -1\r\n", "{}", 400),
        ("Content-Length: 0x2\r\n", "{}", 400),
        ("Content-Length: \r\n", "{}", 400),
    ):
        [(found, answer)] = await wire.answers(f"{wire.paying}{headers}\r\n{body}{NEXT}")
        assert found == status, headers
        assert list(json.loads(answer)) == ["detail"], headers
    old = wire.paying.replace("HTTP/1.1", "HTTP/1.0")
    [(found, _)] = await wire.answers(f"{old}{CHUNKED}\r\n{WHOLE}")
    assert found == 400
    two_hosts = f"{wire.paying}Host: y\r\n{CHUNKED}\r\n{WHOLE}"
    [(found, _)] = await wire.answers(two_hosts)
    assert found == 400
    assert await wire.state() == ("created", 0)
    [(found, _)] = await wire.answers(f"{wire.paying}Connection: close\r\n{CHUNKED}\r\n{WHOLE}")
    assert found == 200
    assert await wire.state() == ("paid", 1)


async def test_requests_before_a_malformed_one_are_answered_first(wire: Wire) -> None:
    broken = f"{wire.paying}{CHUNKED}\r\nzz\r\n{{}}\r\n0\r\n\r\n"
    garbage = "zz zz\r\n\r\n"
    for parts in ((NEXT + NEXT + broken + NEXT,), (NEXT + NEXT + garbage + NEXT,)):
        first, second, (status, body) = await wire.answers(*parts)
        assert first == second == (200, ALIVE)
        assert status == 400
        assert list(json.loads(body)) == ["detail"]
    assert await wire.state() == ("created", 0)


async def test_a_request_to_upgrade_keeps_its_body(wire: Wire) -> None:
    """Java's client asks for HTTP/2 in the first request of each connection."""
    body = '{"date": "2026-11-05"}'
    asking = "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n"
    head = f"{wire.paying}{asking}Content-Length: {len(body)}\r\n\r\n"
    # A body that looks like a request is none.
    smuggled = f"{wire.paying}{asking}Content-Length: {len(NEXT)}\r\n\r\n"
    for parts in ((smuggled + NEXT,), (smuggled, NEXT)):
        [(status, _)] = await wire.answers(*parts, until_closed=False)
        assert status == 400, parts
    assert await wire.state() == ("created", 0)
    [(status, answer), alive] = await wire.answers(head, body[:9], body[9:] + NEXT)
    assert (status, json.loads(answer)["state"]) == (200, "paid")
    assert alive == (200, ALIVE)
    assert await wire.state() == ("paid", 1)


async def test_connect_is_refused(wire: Wire) -> None:
    [(status, _)] = await wire.answers("CONNECT x:80 HTTP/1.1\r\nHost: x\r\n\r\n")
    assert status == 400
