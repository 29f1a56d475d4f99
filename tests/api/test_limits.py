"""The limits of requests: at each limit a request passes, beyond it not."""

import asyncio
import json
from collections.abc import Sequence

import httpx
import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.types import Message, Receive, Scope, Send

from app.api.middleware.limits import (
    BROKEN_BODY,
    HEADER_MAX_BYTES,
    HEADERS_MAX_BYTES,
    HEADERS_MAX_NUMBER,
    PARAMETERS_MAX_NUMBER,
    TOO_MANY_CONNECTIONS,
    URL_MAX_BYTES,
    BodyTooSlow,
    LimitsMiddleware,
)
from app.api.request_body import parse_body

PATIENCE = 0.2


class Server:
    """The server's side of one request."""

    def __init__(
        self,
        path: str = "/",
        query: str = "",
        headers: Sequence[tuple[bytes, bytes]] = (),
        body: Sequence[bytes | float] = (),
    ) -> None:
        self.scope: Scope = {
            "type": "http",
            "method": "POST",
            "path": path,
            "raw_path": path.encode(),
            "query_string": query.encode(),
            "headers": [*headers],
            "state": {},
        }
        self._body = iter(body)
        self.status = 0
        self.response_headers: dict[bytes, bytes] = {}
        self.body = b""

    async def ask(self, *, reads: bool = False) -> int:
        """Return the status of the response of an application that reads the body or does not."""

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            if reads:
                try:
                    await parse_body(Request(scope, receive))
                except BodyTooSlow as error:
                    await PlainTextResponse("", error.status)(scope, receive, send)
                    return
            await PlainTextResponse("as ever")(scope, receive, send)

        await LimitsMiddleware(app, PATIENCE, 80_000)(self.scope, self._receive, self._send)
        return self.status

    async def _receive(self) -> Message:
        while isinstance(part := next(self._body, b""), float):  # noqa: ASYNC110 - it is slow
            await asyncio.sleep(part)
        return {"type": "http.request", "body": part, "more_body": bool(part)}

    async def _send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.response_headers = dict(message["headers"])
        else:
            self.body += message["body"]


def filled(number: int, size: int) -> list[tuple[bytes, bytes]]:
    """Return that many headers with that total size."""
    each = size // number
    headers = [(b"x-%d" % n, b"") for n in range(number)]
    headers = [(name, b"v" * (each - len(name))) for name, _ in headers]
    name, value = headers[0]
    return [(name, value + b"v" * (size - each * number)), *headers[1:]]


@pytest.mark.parametrize(
    ("server", "status"),
    [
        (Server(path="/" * URL_MAX_BYTES), 200),
        (Server(path="/" * (URL_MAX_BYTES - 9), query="a=1&b=234"), 200),
        (Server(path="/" * (URL_MAX_BYTES - 9), query="a=1&b=2345"), 414),
        (Server(query="&".join(["a=1"] * PARAMETERS_MAX_NUMBER)), 200),
        (Server(query="&".join(["a=1"] * PARAMETERS_MAX_NUMBER) + "&a"), 400),
        (Server(headers=[(b"x", b"v" * (HEADER_MAX_BYTES - 1))]), 200),
        (Server(headers=[(b"x", b"v" * HEADER_MAX_BYTES)]), 431),
        (Server(headers=filled(HEADERS_MAX_NUMBER, HEADERS_MAX_BYTES)), 200),
        (Server(headers=filled(HEADERS_MAX_NUMBER, HEADERS_MAX_BYTES + 1)), 431),
        (Server(headers=filled(HEADERS_MAX_NUMBER + 1, 5000)), 431),
    ],
    ids=range(10),
)
async def test_a_request_at_a_limit_passes_and_beyond_it_is_refused(
    server: Server, status: int
) -> None:
    assert await server.ask() == status
    assert server.body.startswith(b"as ever" if status == 200 else b'{"detail":"')


@pytest.mark.parametrize(
    ("header", "status"),
    [
        ((b"content-length", b"80000"), 200),
        ((b"content-length", b"80001"), 413),
        ((b"content-length", b"9" * 30), 413),
        ((b"transfer-encoding", b"chunked"), 200),
        ((b"transfer-encoding", b" Chunked"), 200),
        ((b"transfer-encoding", b"gzip, chunked"), 501),
        ((b"transfer-encoding", b"br, gzip ,chunked"), 501),
        ((b"transfer-encoding", b"gzip"), 400),
        ((b"transfer-encoding", b"identity"), 400),
        ((b"transfer-encoding", b"chunked, gzip"), 400),
        ((b"transfer-encoding", b"chunked, chunked"), 400),
        ((b"transfer-encoding", b"chunked;q=1"), 400),
        ((b"transfer-encoding", b"x"), 400),
        ((b"transfer-encoding", b""), 400),
    ],
)
async def test_a_body_needs_an_end_and_has_a_maximum_length(
    header: tuple[bytes, bytes], status: int
) -> None:
    server = Server(headers=[header], body=[b"{}"])
    assert await server.ask() == status
    assert server.body.startswith(b"as ever" if status == 200 else b'{"detail":"')
    closes = status != 200 or header[0] == b"transfer-encoding"
    assert (server.response_headers.get(b"connection") == b"close") == closes


async def test_transfer_codings_of_several_headers_are_one_list() -> None:
    chunked, gzip = (b"transfer-encoding", b"chunked"), (b"transfer-encoding", b"gzip")
    for headers, status in (([gzip, chunked], 501), ([chunked, gzip], 400)):
        assert await Server(headers=headers).ask() == status
    old = Server(headers=[chunked])
    old.scope["http_version"] = "1.0"
    assert await old.ask() == 400


@pytest.mark.parametrize(
    ("codings", "refused"),
    [
        ([b"gzip"], "gzip"),
        ([b"GZIP"], "gzip"),
        ([b"identity, br"], "br"),
        ([b"gzip", b"deflate"], "gzip, deflate"),
        ([b"identity"], None),
        ([b""], None),
    ],
)
async def test_a_compressed_body_is_refused(codings: list[bytes], refused: str | None) -> None:
    headers = [(b"content-length", b"2"), *((b"content-encoding", each) for each in codings)]
    server = Server(headers=headers, body=[b"{}"])
    assert await server.ask() == (415 if refused else 200)
    if refused:
        detail = f'The content coding "{refused}" is not supported: send the body as it is.'
        assert json.loads(server.body) == {"detail": detail}
        assert server.response_headers[b"accept-encoding"] == b"identity"


async def test_a_content_coding_without_a_body_does_not_matter() -> None:
    assert await Server(headers=[(b"content-encoding", b"gzip")]).ask() == 200


async def test_a_request_has_one_host() -> None:
    for number, status in ((0, 400), (1, 200), (2, 400)):
        server = Server(headers=[(b"host", b"invoicing.example")] * number)
        server.scope["http_version"] = "1.1"
        assert await server.ask() == status


@pytest.mark.parametrize("header", [(b"content-length", b"90000"), (b"transfer-encoding", b"x")])
async def test_the_body_of_a_refused_request_is_not_read(header: tuple[bytes, bytes]) -> None:
    server = Server(path="/" * 9000, headers=[header], body=[b"x"])
    assert await server.ask() == 414
    assert server.response_headers[b"connection"] == b"close"


async def test_a_connection_closes_if_100_continue_was_not_sent() -> None:
    headers = [(b"content-length", b"2"), (b"expect", b"100-continue")]
    server = Server(headers=headers, body=[b"{}"])
    assert await server.ask() == 200
    assert server.response_headers[b"connection"] == b"close"


async def test_a_malformed_body() -> None:
    chunked = [(b"content-type", b"application/json"), (b"transfer-encoding", b"chunked")]
    for reads in (False, True):
        server = Server(headers=chunked, body=[b"{"])
        server.scope["state"][BROKEN_BODY] = 400, "It is broken."
        assert await server.ask(reads=reads) == 400
        assert server.body == b'{"detail":"It is broken."}'


async def test_a_connection_stays_open_for_the_rest_of_a_short_body() -> None:
    server = Server(headers=[(b"content-length", b"80000")], body=[b"x"])
    assert await server.ask() == 200
    assert b"connection" not in server.response_headers


async def test_a_connection_beyond_the_maximum() -> None:
    for path, status in (("/api/invoices/", 503), ("/health/live", 200)):
        server = Server(path=path)
        server.scope["state"] = {TOO_MANY_CONNECTIONS: True}
        assert await server.ask() == status
    server = Server()
    server.scope["state"] = {TOO_MANY_CONNECTIONS: True}
    await server.ask()
    assert server.body == b'{"detail":"There are too many connections now. Try again."}'
    assert (server.response_headers[b"retry-after"], server.response_headers[b"connection"]) == (
        b"1",
        b"close",
    )


PAUSE = PATIENCE * 0.6
MUCH = b" " * 300


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ([b'{"a": ', b'"b"}'], 200),
        ([PAUSE, b'{"a": ', b'"b"}'], 200),
        ([PATIENCE * 2, b'{"a": ', b'"b"}'], 408),
        ([b'{"a": ', PATIENCE * 2, b'"b"}'], 408),
        ([b'{"a": ', PAUSE, b'"b', PAUSE, b'"}'], 408),
        # Slow but steady.
        ([b'{"a": ', PAUSE, MUCH, PAUSE, MUCH, PAUSE, b"1}"], 200),
        ([b'{"a": ', PAUSE, MUCH, PAUSE, b" ", PAUSE, b" ", PAUSE, b"1}"], 408),
    ],
)
async def test_a_slow_body(body: Sequence[bytes | float], status: int) -> None:
    headers = [(b"content-type", b"application/json"), (b"transfer-encoding", b"chunked")]
    server = Server(headers=headers, body=body)
    assert await server.ask(reads=True) == status
    assert (b"connection" in server.response_headers) == (status == 408)


async def test_the_service_has_these_limits(client: httpx.AsyncClient) -> None:
    parameters = "&".join(["state=paid"] * 201)
    assert (await client.get(f"/api/invoices/?{parameters}")).json() == {
        "detail": "There are more than 200 query parameters."
    }
    answer = await client.get("/api/invoices/", headers={"If-None-Match": '"abc", ' * 2000})
    assert answer.status_code == 431
    assert answer.json() == {"detail": "A header is longer than 8192 bytes."}
