"""Clients that read slowly, stop reading or disconnect do not delay other requests."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from time import monotonic
from urllib.parse import urlsplit

import httpx
from sqlalchemy.ext.asyncio import AsyncConnection

from app.billing.enums import InvoiceState
from tests.server.test_wire import busy, with_items
from tests.support.factories import Factories, UserRow
from tests.support.raw_client import RawClient
from tests.support.server import Server, run_server
from tests.support.worker import until

READERS = 12
POOL = 8
LARGE = 1000
"""Items of ten kilobytes: more than the systems of both sides take for a client that reads none."""
PATIENT = {"DATABASE_POOL_TIMEOUT": "60", "DATABASE_REQUEST_TIMEOUT": "60"}
QUICK = 15.0
"""Seconds within which an answer is not held up. A request waits longer for a place."""


@asynccontextmanager
async def slow_reader(server: Server, user: UserRow, path: str) -> AsyncIterator[RawClient]:
    """Yield a client that has asked and takes only what it reads."""
    address = urlsplit(server.url)
    narrow = socket.socket()
    narrow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    narrow.connect((address.hostname, address.port))
    reader, writer = await asyncio.open_connection(sock=narrow, limit=1024)
    client = RawClient(reader, writer, user.key)
    client.begin("GET", path)
    try:
        yield client
    finally:
        writer.transport.abort()
        await asyncio.sleep(0)


async def test_slow_readers_of_one_user_do_not_block_others(
    database_url: str, tmp_path: Path, make: Factories, connection: AsyncConnection
) -> None:
    large = await with_items(make, connection, LARGE, 10_000)
    small = await make.invoice(await make.customer(), state=InvoiceState.CREATED)
    await make.item(small)
    greedy, other, third = [await make.staff() for _ in range(3)]
    path = f"/api/invoices/{large.uuid}/items/"
    settings = {"DATABASE_URL": database_url, "DATABASE_POOL_SIZE": str(POOL), **PATIENT}

    async def holding() -> bool:
        return await busy(connection) >= POOL // 4

    async with run_server(settings, tmp_path) as server, asyncio.TaskGroup() as group:
        ending = asyncio.Event()

        async def read_slowly(user: UserRow) -> None:
            async with slow_reader(server, user, path):
                await ending.wait()

        try:
            for _ in range(READERS):
                group.create_task(read_slowly(greedy))
            await until(holding)
            async with (
                httpx.AsyncClient(
                    base_url=server.url, headers=other.headers, timeout=QUICK
                ) as client,
                asyncio.timeout(120),
            ):
                for number in range(10):
                    begun = monotonic()
                    answer = await client.get(f"/api/invoices/{small.uuid}/?x={number}")
                    assert answer.status_code == 200
                    assert len((await client.get("/api/invoices/?page_size=1")).json()) == 1
                    items = await client.get(f"/api/invoices/{small.uuid}/items/?x={number}")
                    assert len(items.json()) == 1
                    assert monotonic() - begun < QUICK
                for user in (other, third):
                    # Both at once, and while the first still holds all that it can.
                    begun = monotonic()
                    whole = await client.get(path, headers=user.headers)
                    assert len(whole.json()) == LARGE
                    assert monotonic() - begun < QUICK
                # One more that reads slowly leaves a place to the third.
                group.create_task(read_slowly(other))
                await asyncio.sleep(1)
                whole = await client.get(path, headers=third.headers)
                assert len(whole.json()) == LARGE
        finally:
            ending.set()

    async def freed() -> bool:
        return await busy(connection) == 0

    await until(freed)


async def test_clients_that_stop_reading_cause_no_errors(
    database_url: str, tmp_path: Path, make: Factories, connection: AsyncConnection
) -> None:
    large = await with_items(make, connection, LARGE, 10_000)
    created = await make.invoice(await make.customer(), state=InvoiceState.CREATED)
    staff = await make.staff()
    path = f"/api/invoices/{large.uuid}/items/"

    async def freed() -> bool:
        return await busy(connection) == 0

    settings = {"DATABASE_URL": database_url, "CLIENT_TIMEOUT": "1"}
    async with run_server(settings, tmp_path) as server:
        # Those who read no more: the server gives them up.
        async with slow_reader(server, staff, path), slow_reader(server, staff, path):
            await until(lambda: _contains(server, "client too slow"))
        # Those who go away amid an answer, at different points, one with a request behind it.
        for number in range(20):
            async with slow_reader(server, staff, path) as client:
                if number % 2:
                    client.begin("GET", "/health/live")
                await asyncio.sleep(number / 50)
        # Those who go away amid an upload: with a length, in chunks, with a proof, as JSON.
        for headers in ("Content-Length: 100000", "Transfer-Encoding: chunked"):
            for kind in ("application/json", "multipart/form-data; boundary=B"):
                async with slow_reader(server, staff, "/health/live") as client:
                    client.begin(
                        "POST",
                        f"/api/invoices/{created.uuid}/paid/",
                        headers,
                        f"Content-Type: {kind}",
                    )
                    client.write(b"3\r\n--B\r\n" if "chunked" in headers else b"--B\r\nCont")
                    await asyncio.sleep(0.1)
        await until(freed)
    lines = [json.loads(line) for line in server.log.read_text().splitlines()]
    assert [line for line in lines if line["level"] not in ("info", "debug")] == []
    assert [line for line in lines if "exception" in line] == []


async def test_a_response_ends_if_a_client_reads_too_slowly(
    database_url: str, tmp_path: Path, make: Factories, connection: AsyncConnection
) -> None:
    """Where clients may take longer, an answer still holds no connection to the database longer."""
    large = await with_items(make, connection, LARGE, 10_000)
    staff = await make.staff()
    settings = {"DATABASE_URL": database_url, "CLIENT_TIMEOUT": "600"}
    program = (
        "-c",
        "from app.api import streaming; streaming.CLIENT_TIMEOUT = 0.5\n"
        "from app.cli.main import main; main()",
    )
    async with run_server(settings, tmp_path, program=program) as server:
        path = f"/api/invoices/{large.uuid}/items/"
        # One with a request behind it, which uvicorn takes for the one that is answered.
        async with slow_reader(server, staff, path), slow_reader(server, staff, path) as client:
            client.begin("GET", "/health/live")

            async def freed() -> bool:
                return await _contains(server, "to take a part") and await busy(connection) == 0

            await until(freed)
    lines = [json.loads(line) for line in server.log.read_text().splitlines()]
    assert sum(line.get("was") == "to take a part" for line in lines) == 2
    assert {line["level"] for line in lines} == {"info"}
    assert sum(line["event"] == "request" and "items" in line["path"] for line in lines) == 2


async def _contains(server: Server, words: str) -> bool:
    return words in await asyncio.to_thread(server.log.read_text)
