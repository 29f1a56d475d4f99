"""Clients go away in the middle of something, or come all at once."""

import asyncio
from collections.abc import Mapping
from time import monotonic
from typing import Any

import httpx

from tests.faults.case import Case
from tests.faults.client import new_key, request_of
from tests.faults.ledger import ABORTED, Attempt, Kind, Operation
from tests.faults.load import Load
from tests.faults.stack import Stack

_ABORTED_PAYMENTS = 24
_CLIENTS = 500
_PAYERS = 50
_POOL = 16


async def _go_away(stack: Stack, load: Load) -> None:
    async with load.running():
        await load.well()
        for number in range(_ABORTED_PAYMENTS):
            await _abort_a_read(stack, load)
            await _abort_a_payment(stack, load, part=number / (_ABORTED_PAYMENTS - 1))
        await load.recovered()


async def _abort_a_payment(stack: Stack, load: Load, part: float) -> None:
    """Send only a part of a payment, or read only a bit of its answer; then pay as one should."""
    uuid = load.next_to_pay().uuid
    upload = load.proof()
    operation = load.ledger.open(Kind.PAID, uuid, upload.value, new_key())
    path, options = request_of(operation, upload)
    await _send_and_leave(stack, load, operation, "POST", path, options, part)
    load.check_paid(uuid, await load.client.finish(operation, upload))


async def _abort_a_read(stack: Stack, load: Load) -> None:
    operation = load.ledger.open(Kind.LIST)
    path = "/api/invoices/?page_size=100"
    await _send_and_leave(stack, load, operation, "GET", path, {}, 1.0)


async def _send_and_leave(
    stack: Stack,
    load: Load,
    operation: Operation,
    method: str,
    path: str,
    options: Mapping[str, Any],
    part: float,
) -> None:
    """Send that part of a request; of one that was sent whole, read the first byte answered."""
    begun = monotonic()
    headers = {**load.ground.headers, **options.get("headers", {})}
    request = httpx.Request(method, stack.urls[0] + path, **{**options, "headers": headers})
    raw = _raw(request)
    reader, writer = await asyncio.open_connection(request.url.host, request.url.port)
    writer.write(raw[: round(len(raw) * part)])
    await writer.drain()
    if part == 1:
        await reader.read(1)
    writer.transport.abort()
    operation.attempts.append(Attempt(begun, monotonic() - begun, failure=ABORTED))


def _raw(request: httpx.Request) -> bytes:
    head = [f"{request.method} {request.url.raw_path.decode()} HTTP/1.1".encode()]
    head += [name + b": " + value for name, value in request.headers.raw]
    return b"\r\n".join(head) + b"\r\n\r\n" + request.read()


async def _crowd(stack: Stack, load: Load) -> None:
    kinds = (Kind.LIST, Kind.RETRIEVE, Kind.ITEMS, Kind.STATS, Kind.GROWTH)
    async with load.running():
        await load.well()
        async with asyncio.TaskGroup() as clients:
            for number in range(_CLIENTS - _PAYERS):
                clients.create_task(load.read_one(kinds[number % len(kinds)]))
            for _ in range(_PAYERS):
                clients.create_task(load.pay_one())
        await load.recovered()


CASES = (
    Case("clients-leave", "Clients going away amid upload and answer", _go_away, quick=True),
    Case("clients-crowd", f"{_CLIENTS} clients at once on a pool of {_POOL}", _crowd, seconds=120),
)
