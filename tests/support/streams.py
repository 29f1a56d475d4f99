"""Answers as a server gets them, part by part, from clients that may stop reading or go away."""

import asyncio

from fastapi import FastAPI
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from tests.support.clients import BASE
from tests.support.factories import Row, UserRow

HOST = BASE.removeprefix("http://").encode()
"""As of other clients, so that the same links are sent."""


async def parts_of(
    app: FastAPI,
    target: str,
    user: UserRow,
    *,
    method: str = "GET",
    until: int | None = None,
    reading: int | None = None,
    pause: float = 0,
) -> list[int]:
    """Call the application as a server does; return the sizes of the parts that it sends.

    With `until`, the client goes away after that many parts; with `reading`, it stays but reads
    no more than these; with `pause`, it takes so many seconds for the first.
    """
    sizes: list[int] = []
    gone = asyncio.Event()
    requests: list[dict[str, object]] = [{"type": "http.request", "body": b"", "more_body": False}]

    async def receive() -> dict[str, object]:
        if requests:
            return requests.pop()
        await gone.wait()
        return {"type": "http.disconnect"}

    async def send(message: dict[str, object]) -> None:
        if message["type"] == "http.response.start":
            assert message["status"] == 200
        if message["type"] == "http.response.body":
            body = message["body"]
            assert isinstance(body, bytes)
            sizes.append(len(body))
            if until is not None and len(sizes) == until:
                gone.set()
                await asyncio.sleep(0)
            if len(sizes) == 1:
                await asyncio.sleep(pause)
            if len(sizes) == reading:
                await asyncio.Event().wait()

    path, _, query = target.partition("?")
    scope = {
        "type": "http", "asgi": {"version": "3.0", "spec_version": "2.3"}, "http_version": "1.1",
        "method": method, "scheme": "http", "path": path, "raw_path": b"",
        "query_string": query.encode(), "root_path": "", "server": ("x", 80),
        "client": ("127.0.0.1", 1),
        "headers": [(b"authorization", f"Token {user.key}".encode()), (b"host", HOST)],
    }  # fmt: skip
    await app(scope, receive, send)  # type: ignore[arg-type]  # plain dicts are messages
    return sizes


async def add_items(connection: AsyncConnection, invoices: list[Row], number: int) -> None:
    """Add that many items of some half a kilobyte to each invoice."""
    # One statement, with the triggers at work once: as a row by row insert it takes minutes. The
    # record of changes would take most of the time, and no test of streams reads it.
    await connection.execute(text("ALTER TABLE invoice_items DISABLE TRIGGER record_new"))
    await connection.execute(
        text(
            "INSERT INTO invoice_items"
            ' (uuid, invoice_id, name, unit_price, quantity, unit, start, "end", details)'
            " SELECT gen_random_uuid(), invoice, 'Item ' || to_char(n, 'FM000000'), 1, 1, 'hour',"
            " '2026-10-01Z', '2026-10-31Z', jsonb_build_object('text', repeat('x', 200))"
            " FROM unnest(cast(:invoices AS bigint[])) AS invoice, generate_series(1, :number) n"
        ),
        {"invoices": [invoice.id for invoice in invoices], "number": number},
    )
    await connection.execute(text("ALTER TABLE invoice_items ENABLE TRIGGER record_new"))
