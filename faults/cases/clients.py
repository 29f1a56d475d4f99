"""Clients that abort requests, or that all arrive at once."""

import asyncio
from time import monotonic

import httpx

from faults.case import Case
from faults.client import build_request, new_key, to_attempt
from faults.load import LoadGenerator
from faults.request_log import ABORTED, Attempt, Kind
from faults.stack import Stack

_ABORTED_PAYMENTS = 24
_CLIENTS = 500
_PAYERS = 50
_POOL = 16


async def _clients_leave(stack: Stack, load: LoadGenerator) -> None:
    async with load.running():
        await load.wait_until_healthy()
        for number in range(_ABORTED_PAYMENTS):
            await _abort_a_read(stack, load)
            await _abort_a_payment(stack, load, part=number / (_ABORTED_PAYMENTS - 1))
        await load.wait_for_recovery()


async def _abort_a_payment(stack: Stack, load: LoadGenerator, part: float) -> None:
    """Send a part of a payment, or read a part of its response; then send it completely."""
    uuid = load.next_to_pay().uuid
    upload = load.proof()
    operation = load.request_log.open(Kind.PAID, uuid, upload.value, new_key())
    path, options = build_request(operation, upload)
    options["headers"] |= load.dataset.headers
    request = httpx.Request("POST", stack.urls[0] + path, **options)
    operation.attempts.append(await _send_and_abort(request, part))
    load.check_paid(uuid, await load.client.finish(operation, upload))


async def _abort_a_read(stack: Stack, load: LoadGenerator) -> None:
    operation = load.request_log.open(Kind.LIST)
    url = stack.urls[0] + "/api/invoices/?page_size=100"
    request = httpx.Request("GET", url, headers=load.dataset.headers)
    operation.attempts.append(await _send_and_abort(request, 1))


async def _send_and_abort(request: httpx.Request, part: float) -> Attempt:
    """Send a part of a request; after a complete one read one byte of the response."""
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


def _parsed(answer: bytes) -> httpx.Response:
    head, _, body = answer.partition(b"\r\n\r\n")
    first, *lines = head.split(b"\r\n")
    headers = [(name, value.strip()) for name, _, value in (line.partition(b":") for line in lines)]
    return httpx.Response(int(first.split()[1]), headers=headers, content=body)


async def _crowd(stack: Stack, load: LoadGenerator) -> None:
    async with load.running():
        await load.wait_until_healthy()
        barrier = asyncio.Barrier(_CLIENTS)
        async with asyncio.TaskGroup() as clients:
            for number in range(_CLIENTS - _PAYERS):
                clients.create_task(_read(stack, load, number, barrier))
            for _ in range(_PAYERS):
                clients.create_task(_pay(stack, load, barrier))
        await load.wait_for_recovery()


async def _read(stack: Stack, load: LoadGenerator, number: int, barrier: asyncio.Barrier) -> None:
    one = load.dataset.all[number % len(load.dataset.all)].uuid
    kind, path = (
        (Kind.LIST, ""),
        (Kind.RETRIEVE, f"{one}/"),
        (Kind.ITEMS, f"{one}/items/"),
        (Kind.STATS, f"{one}/stats/"),
        (Kind.GROWTH, "growth/"),
    )[number % 5]
    url = f"{stack.urls[0]}/api/invoices/{path}"
    request = httpx.Request("GET", url, headers=load.dataset.headers)
    load.request_log.open(kind).attempts.append(await _ask(request, barrier))


async def _pay(stack: Stack, load: LoadGenerator, barrier: asyncio.Barrier) -> None:
    uuid = load.next_to_pay().uuid
    upload = load.proof()
    operation = load.request_log.open(Kind.PAID, uuid, upload.value, new_key())
    path, options = build_request(operation, upload)
    options["headers"] |= load.dataset.headers
    request = httpx.Request("POST", stack.urls[0] + path, **options)
    operation.attempts.append(await _ask(request, barrier))
    if operation.attempts[-1].needs_retry:
        load.check_paid(uuid, await load.client.finish(operation, upload))


async def _ask(request: httpx.Request, barrier: asyncio.Barrier) -> Attempt:
    """Send a request at the same time as all others, over its own connection.

    It uses no HTTP client: five hundred of them would keep the machine busy.
    """
    request.headers["Connection"] = "close"
    raw = _raw(request)
    reader, writer = await asyncio.open_connection(request.url.host, request.url.port)
    await barrier.wait()
    begun = monotonic()
    writer.write(raw)
    try:
        answer = await reader.read(-1)
    except ConnectionError as error:
        return Attempt(begun, monotonic() - begun, failure=type(error).__name__)
    finally:
        writer.close()
    return to_attempt(begun, _parsed(answer))


CASES = (
    Case("clients-leave", "Clients going away amid upload and answer", _clients_leave),
    Case("clients-crowd", f"{_CLIENTS} clients at once on a pool of {_POOL}", _crowd, seconds=120),
)
