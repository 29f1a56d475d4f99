"""Behaviour of the real server alone: bytes on the wire, streaming, clients that leave."""

import asyncio
import json
import socket
from urllib.parse import urlsplit

import httpx
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from tests.support.factories import Factories, Row
from tests.support.raw_client import raw_clients
from tests.support.server import Server

MANY = 3000


@pytest.fixture
def database_url(module_database_url: str) -> str:
    return module_database_url


@pytest.fixture
def server(module_server: Server) -> Server:
    return module_server


async def with_items(
    make: Factories, connection: AsyncConnection, many: int = MANY, size: int = 2000
) -> Row:
    """Insert an invoice with so many items of so many bytes, about."""
    invoice = await make.invoice(await make.customer())
    await connection.execute(
        text(
            "INSERT INTO invoice_items"
            ' (uuid, invoice_id, name, unit_price, quantity, unit, start, "end", details)'
            " SELECT gen_random_uuid(), :invoice, 'Item ' || n, 1, 1, 'hour',"
            " '2026-10-01Z', '2026-10-31Z', jsonb_build_object('text', repeat('x', :size))"
            " FROM generate_series(1, :many) n"
        ),
        {"invoice": invoice.id, "many": many, "size": size},
    )
    return invoice


async def busy(connection: AsyncConnection) -> int:
    """Count the connections to this database that are at work or amid a transaction."""
    found = await connection.execute(
        text(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
            " AND state <> 'idle' AND pid <> pg_backend_pid()"
        )
    )
    return int(found.scalar_one())


async def test_heads_streams_and_clients_that_leave(
    server: Server, make: Factories, connection: AsyncConnection
) -> None:
    invoice = await with_items(make, connection)
    user = await make.staff()
    items = f"/api/invoices/{invoice.uuid}/items/"
    async with httpx.AsyncClient(base_url=server.url, headers=user.headers) as client:
        for path in ("/api/invoices/", "/api/invoices/growth/", items, items[:-6], "/health/live"):
            head = await client.head(path)
            assert (head.status_code, head.content) == (200, b""), path
            assert head.headers.get("content-length") != "0"
        for encoding in ("identity", "gzip", "zstd"):
            answer = await client.get(items, headers={"Accept-Encoding": encoding})
            assert answer.headers["transfer-encoding"] == "chunked"
            assert len(answer.json()) == MANY

    # A client that asks, reads a little and hangs up, without a word.
    address = urlsplit(server.url)
    narrow = socket.socket()
    narrow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)  # so that it cannot take it all
    narrow.connect((address.hostname, address.port))
    reader, writer = await asyncio.open_connection(sock=narrow, limit=1024)
    request = f"GET {items} HTTP/1.1\r\nHost: x\r\nAuthorization: Token {user.key}\r\n\r\n"
    writer.write(request.encode())
    try:
        assert (await reader.read(100)).startswith(b"HTTP/1.1 200 OK")
        assert await busy(connection) == 1
    finally:
        writer.transport.abort()
        await asyncio.sleep(0)
    async with asyncio.timeout(60):
        while await busy(connection):  # noqa: ASYNC110 - no event announces it
            await asyncio.sleep(0.05)


async def test_head_is_get_without_its_content_type(
    server: Server, make: Factories, connection: AsyncConnection
) -> None:
    """Compressed responses, 304, errors and files, all on one connection."""
    invoice = await with_items(make, connection, 20)
    key = (await make.staff()).key
    one = f"/api/invoices/{invoice.uuid}/"
    # The headers that follow from the body, and those that each request has anew.
    others = {
        *("content-length", "content-encoding", "transfer-encoding", "etag"),
        *("date", "x-request-id"),
    }

    def known(headers: dict[str, str]) -> dict[str, str]:
        return {name: value for name, value in headers.items() if name not in others}

    async with raw_clients(server.url, key) as connect:
        client = await connect()
        paths = ["/api/invoices/", one, f"{one}items/", f"{one}history/", "/api/invoices/growth/"]
        paths += ["/api/schema.json", "/api/docs", "/api/docs/assets/favicon.png", "/nowhere"]
        paths += ["/health/live", f"{one}paid/", f"/api/payments/{invoice.uuid}/proof/", "/api/"]
        for path in paths:
            for sent in ((), ("Accept-Encoding: gzip",), ("Accept-Encoding: zstd",)):
                get, head = [await client.ask(m, path, *sent) for m in ("GET", "HEAD")]
                assert get.headers.pop("content-type"), path
                assert "content-type" not in head.headers, path
                assert (head.status, known(head.headers)) == (get.status, known(get.headers)), path
                if "etag" not in get.headers:
                    continue
                again = await client.ask(
                    "HEAD", path, *sent, f"If-None-Match: {get.headers['etag']}"
                )
                assert again.status == 304
                assert again.headers["etag"] == get.headers["etag"]
                assert "content-type" not in again.headers


async def test_options_of_the_whole_server_is_not_found(server: Server) -> None:
    async with raw_clients(server.url, "no key") as connect:
        client = await connect()
        assert (await client.ask("OPTIONS", "*")).status == 404
        options = await client.ask("OPTIONS", "/api/invoices/")
        assert (options.status, options.headers["allow"]) == (204, "GET, HEAD, OPTIONS")
        assert not {"content-type", "content-length"} & set(options.headers)
        assert (await client.get("/health/live")).status == 200  # on the same connection


async def test_logs_are_json_without_keys(server: Server, make: Factories) -> None:
    user = await make.staff()
    logged_before = server.log.stat().st_size
    async with httpx.AsyncClient(base_url=server.url) as client:
        await client.get("/api/invoices/?token=in-the-query", headers=user.headers)
        for wrong in (
            "Bearer wrong-key",
            "wrong-key",
            "Token wrong-key wrong-key",
            "Basic wrong-key",
        ):
            await client.get("/api/invoices/", headers={"Authorization": wrong})
    lines = server.log.read_bytes()[logged_before:].decode().splitlines()
    entries = [json.loads(line) for line in lines]
    assert [entry["address"] for entry in entries if entry["event"] == "failed login"] == [
        "127.0.0.1"
    ]
    requests = [
        entry
        for entry in entries
        if entry["event"] == "request" and entry["path"] == "/api/invoices/"
    ]
    assert [entry["status"] for entry in requests] == [200, 401, 401, 401, 401]
    assert all(entry["request_id"] for entry in requests)
    for secret in (user.key, "in-the-query", "wrong-key"):
        assert secret not in "".join(lines)
