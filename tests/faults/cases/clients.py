"""Clients go away in the middle of something, or come all at once."""

import asyncio
from time import monotonic

import httpx

from tests.faults.case import Case
from tests.faults.client import new_key, request_of
from tests.faults.ledger import ABORTED, Attempt, Kind
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
    options["headers"] |= load.ground.headers
    request = httpx.Request("POST", stack.urls[0] + path, **options)
    operation.attempts.append(await _send_and_leave(request, part))
    load.check_paid(uuid, await load.client.finish(operation, upload))


async def _abort_a_read(stack: Stack, load: Load) -> None:
    operation = load.ledger.open(Kind.LIST)
    url = stack.urls[0] + "/api/invoices/?page_size=100"
    request = httpx.Request("GET", url, headers=load.ground.headers)
    operation.attempts.append(await _send_and_leave(request, 1))


async def _send_and_leave(request: httpx.Request, part: float) -> Attempt:
    """Send that part of a request; of one that was sent whole, read the first byte answered."""
    begun = monotonic()
    raw = _raw(request)
    reader, writer = await asyncio.open_connection(request.url.host, request.url.port)
    writer.write(raw[: round(len(raw) * part)])
    await writer.drain()
    if part == 1:
        await reader.read(1)
    writer.transport.abort()
    return Attempt(begun, monotonic() - begun, failure=ABORTED)


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
