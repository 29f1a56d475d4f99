"""Uploads to a real server: their limit, what is read past it, and senders who break off."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import suppress

import httpx
import pytest
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from app.invoices.models import Invoice
from app.payments.models import Payment
from tests.support.factories import Factories, Row
from tests.support.server import Server, run_server

MEBIBYTE = 1024 * 1024
LIMIT = 10 * MEBIBYTE
START = (
    b'--B\r\nContent-Disposition: form-data; name="date"\r\n\r\n2026-11-05\r\n'
    b'--B\r\nContent-Disposition: form-data; name="proof"; filename="p.pdf"\r\n\r\n%PDF-1.7\n'
)
END = b"\r\n--B--\r\n"


class Case:
    """A running server with one connection to its database, and an invoice to pay."""

    def __init__(self, server: Server, connection: AsyncConnection, invoice: Row, key: str) -> None:
        self.url = httpx.URL(server.url)
        self.proof_dir = server.log.parent / "proofs"
        self.connection = connection
        self.invoice = invoice
        self.key = key
        self._earlier = {file.name for file in self.proof_dir.glob("*")}

    @property
    def path(self) -> str:
        return f"/api/invoices/{self.invoice.uuid}/paid/"

    @property
    def proofs(self) -> list[str]:
        """The files of proofs that this test has added."""
        return [file.name for file in self.proof_dir.glob("*") if file.name not in self._earlier]

    async def pay(self, proof: bytes) -> httpx.Response:
        async with self.client() as client:
            return await client.post(
                self.path, data={"date": "2026-11-05"}, files={"proof": ("p.pdf", proof)}
            )

    def client(self) -> httpx.AsyncClient:
        headers = {"Authorization": f"Token {self.key}"}
        return httpx.AsyncClient(base_url=self.url, headers=headers, timeout=30)

    async def begin(self, *headers: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Send the head and the start of a proof."""
        reader, writer = await asyncio.open_connection(self.url.host, self.url.port)
        lines = [
            f"POST {self.path} HTTP/1.1",
            "Host: localhost",
            f"Authorization: Token {self.key}",
            "Content-Type: multipart/form-data; boundary=B",
            *headers,
        ]
        writer.write("\r\n".join([*lines, "", ""]).encode())
        return reader, writer

    async def unchanged(self) -> bool:
        state = select(Invoice.state).where(Invoice.id == self.invoice.id)
        payments = select(func.count()).where(Payment.invoice_id == self.invoice.id)
        return (await self.connection.execute(state)).scalar_one() == "created" and not (
            await self.connection.execute(payments)
        ).scalar_one()


@pytest.fixture
def database_url(module_database_url: str) -> str:
    return module_database_url


@pytest.fixture(scope="module")
async def server(
    module_database_url: str, redis_server: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Server]:
    # With one connection, an upload that held one would stop everybody.
    settings = {"DATABASE_URL": module_database_url, "DATABASE_POOL_SIZE": "1"}
    async with run_server(settings, tmp_path_factory.mktemp("server")) as server:
        yield server


@pytest.fixture
async def case(server: Server, connection: AsyncConnection, make: Factories) -> Case:
    return Case(server, connection, await make.payable_invoice(), (await make.staff()).key)


async def eventually(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110 - a folder announces no change
            await asyncio.sleep(0.02)


async def pour(writer: asyncio.StreamWriter, size: int) -> int:
    """Send chunks until they come to a size, or nobody takes them; return what was sent."""
    sent = 0
    with suppress(ConnectionError):
        while sent < size:
            writer.write(chunk(b"x" * MEBIBYTE))
            await writer.drain()
            sent += MEBIBYTE
    return sent


def chunk(data: bytes) -> bytes:
    return f"{len(data):x}\r\n".encode() + data + b"\r\n"


async def test_a_proof_of_exactly_the_limit_and_one_byte_more(case: Case) -> None:
    proof = b"%PDF-1.7\n".ljust(LIMIT, b"\0")
    answer = await case.pay(proof + b"\0")
    assert answer.status_code == 413
    assert answer.json() == {"detail": f"The proof is larger than {LIMIT} bytes."}
    assert await case.unchanged()
    assert case.proofs == []

    assert (await case.pay(proof)).status_code == 200
    (key,) = case.proofs
    assert (case.proof_dir / key).stat().st_size == LIMIT


async def test_a_body_declared_too_large_is_answered_at_once(case: Case) -> None:
    reader, writer = await case.begin(f"Content-Length: {1000 * LIMIT}")
    writer.write(START)  # and no more of it
    async with asyncio.timeout(60):
        head = await reader.readuntil(b"\r\n\r\n")
        await reader.read()  # the server ends the connection
    assert head.startswith(b"HTTP/1.1 413 ")
    assert b"connection: close\r\n" in head.lower()
    writer.close()
    assert await case.unchanged()


async def test_past_the_limit_the_rest_is_not_read(case: Case) -> None:
    reader, writer = await case.begin("Transfer-Encoding: chunked")
    writer.write(chunk(START))
    answer = asyncio.create_task(reader.readuntil(b"\r\n"))
    async with asyncio.timeout(60):
        sent = await pour(writer, 100 * MEBIBYTE)
    # Buffers on the way hold a few MiB.
    assert sent < 2 * LIMIT
    assert (await answer).startswith(b"HTTP/1.1 413 ")
    writer.close()
    assert await case.unchanged()
    assert case.proofs == []


async def test_a_sender_who_breaks_off_leaves_nothing(case: Case) -> None:
    _, writer = await case.begin(f"Content-Length: {5 * MEBIBYTE}")
    writer.write(START + b"x" * MEBIBYTE)
    await eventually(lambda: [name for name in case.proofs if name.endswith(".part")] != [])
    writer.transport.abort()
    await eventually(lambda: case.proofs == [])
    assert await case.unchanged()
    assert (await case.pay(b"%PDF-1.7")).status_code == 200


async def test_a_slow_upload_holds_no_connection_and_is_checked_again(case: Case) -> None:
    reader, writer = await case.begin("Transfer-Encoding: chunked", "Connection: close")
    writer.write(chunk(START + b"x" * MEBIBYTE))
    await eventually(lambda: case.proofs != [])
    # Meanwhile the same invoice is read, and paid by another.
    async with case.client() as client:
        assert (await client.get("/api/invoices/")).status_code == 200
        assert (await client.post(case.path)).status_code == 200
    writer.write(chunk(END) + b"0\r\n\r\n")
    async with asyncio.timeout(60):
        answer = await reader.read()
    writer.close()
    assert answer.startswith(b"HTTP/1.1 409 ")
    assert answer.endswith(b'{"detail":"Valid states for operation: Created."}')
    assert case.proofs == []


async def test_two_at_once_on_the_wire(case: Case) -> None:
    answers = await asyncio.gather(*(case.pay(b"%PDF-1.7" + b"x" * MEBIBYTE) for _ in range(4)))
    assert sorted(answer.status_code for answer in answers) == [200, 409, 409, 409]
    assert len(case.proofs) == 1
