"""Compression and entity tags of responses, with a tiny application."""

import asyncio
import gzip
import zlib
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest
import zstandard
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from app.api.caching.etags import matches_any
from app.api.middleware.compression import MINIMUM_SIZE, CompressionMiddleware, accepted

TAG = '"abc"'
TEXT = b"0123456789" * 1000
DECODED: dict[str | None, Callable[[bytes], bytes]] = {
    None: bytes,
    "gzip": gzip.decompress,
    "zstd": lambda data: zstandard.ZstdDecompressor().decompressobj().decompress(data),
}


async def sized(request: Request) -> Response:
    """Respond with so many bytes, or with 304."""
    headers = {"ETag": request.query_params.get("etag", TAG)}
    if matches_any(request.headers.get("if-none-match", ""), headers["ETag"]):
        return Response(status_code=304, headers=headers)
    size = int(request.query_params.get("size", "10000"))
    body = None if request.method == "HEAD" else TEXT[:size]
    media_type = request.query_params.get("type", "application/json")
    status = int(request.query_params.get("status", "200"))
    return Response(body, status, headers=headers, media_type=media_type)


async def streamed(request: Request) -> Response:
    async def parts() -> AsyncIterator[bytes]:
        for size in request.query_params["sizes"].split(","):
            yield TEXT[: int(size)]

    return StreamingResponse(parts(), media_type="application/json", headers={"ETag": TAG})


async def packed_already(request: Request) -> Response:
    headers = {"Content-Encoding": "gzip", "ETag": TAG}
    return Response(gzip.compress(TEXT), headers=headers, media_type="application/json")


app = CompressionMiddleware(
    Starlette(
        routes=[
            Route("/sized", sized, methods=["GET", "HEAD"]),
            Route("/streamed", streamed),
            Route("/packed", packed_already),
        ]
    )
)


async def call(
    path: str, coding: str | None, method: str = "GET", **headers: str
) -> tuple[httpx.Response, bytes]:
    """Return the response to a client that accepts the coding, and the bytes that were sent."""
    sent = {"Accept-Encoding": coding or "identity"}
    sent |= {name.replace("_", "-"): value for name, value in headers.items()}
    transport = httpx.ASGITransport(app)
    async with (
        httpx.AsyncClient(transport=transport, base_url="http://x") as client,
        client.stream(method, path, headers=sent) as answer,
    ):
        return answer, b"".join([part async for part in answer.aiter_raw()])


@pytest.mark.parametrize(
    ("header", "codings"),
    [
        ("", ()),
        ("identity", ()),
        ("br", ()),
        ("gzip", ("gzip",)),
        ("GZIP", ("gzip",)),
        ("gzip, deflate, br, zstd", ("zstd", "gzip")),
        ("gzip;q=1.0, zstd;q=0.1", ("zstd", "gzip")),
        ("gzip, zstd;q=0", ("gzip",)),
        ("gzip ; q=0", ()),
        ("*", ("zstd", "gzip")),
        ("*;q=0, gzip", ("gzip",)),
        ("zstd;q=0, *", ("gzip",)),
        ("gzip;q=much", ()),
        (",,;", ()),
    ],
)
def test_accepted_codings(header: str, codings: tuple[str, ...]) -> None:
    assert accepted(header) == codings


@pytest.mark.parametrize("coding", ["gzip", "zstd"])
async def test_responses_from_a_kilobyte_are_compressed(coding: str) -> None:
    for size in (0, 1, 1000, MINIMUM_SIZE - 1):
        answer, body = await call(f"/sized?size={size}", coding)
        assert "content-encoding" not in answer.headers
        assert (answer.headers["etag"], body) == (TAG, TEXT[:size])
        assert answer.headers["content-length"] == str(size)
    for size in (MINIMUM_SIZE, 10_000):
        answer, body = await call(f"/sized?size={size}", coding)
        assert answer.headers["content-encoding"] == coding
        assert answer.headers["etag"] == f'"abc-{coding}"'
        assert answer.headers["content-length"] == str(len(body))
        assert len(body) < size
        assert DECODED[coding](body) == TEXT[:size]


@pytest.mark.parametrize("coding", [None, "gzip", "zstd"])
async def test_every_response_varies_by_accept_encoding(coding: str | None) -> None:
    for path in ("/sized?size=1", "/sized", "/streamed?sizes=1", "/streamed?sizes=9000,1"):
        answer, _ = await call(path, coding)
        assert answer.headers.get_list("vary") == ["Accept-Encoding"]


async def test_zstd_is_preferred_to_gzip() -> None:
    answer, _ = await call("/sized", "gzip, deflate, zstd")
    assert answer.headers["content-encoding"] == "zstd"


async def test_equal_responses_are_equal_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    for coding in ("gzip", "zstd"):
        _, before = await call("/sized", coding)
        monkeypatch.setattr("time.time", lambda: 1_900_000_000.0)
        _, after = await call("/sized", coding)
        assert before == after


@pytest.mark.parametrize(
    "path",
    [
        "/sized?type=image/png",
        "/sized?type=application/pdf",
        "/sized?status=206",
        "/packed",
    ],
)
async def test_responses_that_are_not_compressed(path: str) -> None:
    plain, plain_body = await call(path, None)
    answer, body = await call(path, "gzip")
    assert (answer.status_code, body) == (plain.status_code, plain_body)
    assert answer.headers == plain.headers


async def test_other_media_types_and_errors_are_compressed() -> None:
    for query in ("type=text/html%3B%20charset%3Dutf-8", "type=text/css", "status=400"):
        answer, body = await call(f"/sized?{query}", "gzip")
        assert answer.headers["content-encoding"] == "gzip"
        assert gzip.decompress(body) == TEXT


async def test_head_has_no_content_coding() -> None:
    plain, _ = await call("/sized", None, "HEAD")
    answer, body = await call("/sized", "gzip", "HEAD")
    assert body == b""
    assert answer.headers == plain.headers
    assert answer.headers["etag"] == TAG


@pytest.mark.parametrize(
    ("sizes", "compressed"),
    [("0", False), ("1000", False), ("500,500,23", False), ("500,500,24", True), ("9000,1", True)],
)
@pytest.mark.parametrize("coding", ["gzip", "zstd"])
async def test_parts_form_one_compressed_body(sizes: str, coding: str, *, compressed: bool) -> None:
    answer, body = await call(f"/streamed?sizes={sizes}", coding)
    plain, whole = await call(f"/streamed?sizes={sizes}", None)
    used = coding if compressed else None
    assert answer.headers.get("content-encoding") == used
    assert answer.headers["etag"] == (f'"abc-{coding}"' if compressed else TAG)
    assert "content-length" not in answer.headers
    assert DECODED[used](body) == whole
    assert "content-encoding" not in plain.headers


@pytest.mark.parametrize("coding", ["gzip", "zstd"])
async def test_each_part_can_be_decoded_when_it_is_sent(coding: str) -> None:
    """The application sends the second part once the client has decoded the first."""
    read = asyncio.Event()
    received = b""

    async def parts(_scope: Any, _receive: Any, send: Any) -> None:
        headers = [(b"content-type", b"application/json")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": TEXT, "more_body": True})
        async with asyncio.timeout(60):
            await read.wait()
        await send({"type": "http.response.body", "body": b"end", "more_body": False})

    if coding == "gzip":
        decoder: Any = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
    else:
        decoder = zstandard.ZstdDecompressor().decompressobj()

    async def take(message: Any) -> None:
        nonlocal received
        received += decoder.decompress(message.get("body", b""))
        if received == TEXT:
            read.set()

    async def nothing() -> Any:
        return {"type": "http.disconnect"}

    scope = {"type": "http", "headers": [(b"accept-encoding", coding.encode())]}
    await CompressionMiddleware(parts)(scope, nothing, take)
    assert received == TEXT + b"end"


@pytest.mark.parametrize(
    ("coding", "known", "expected"),
    [
        (None, TAG, TAG),
        (None, 'W/"abc"', 'W/"abc"'),
        (None, "*", TAG),
        (None, '"x", "abc"', TAG),
        ("gzip", '"abc-gzip"', '"abc-gzip"'),
        ("gzip", '"x-gzip", "abc-gzip"', '"abc-gzip"'),
        ("gzip", TAG, TAG),
        ("gzip", '"abc", "abc-gzip"', TAG),
        ("gzip, zstd", '"abc-gzip"', '"abc-gzip"'),
        ("gzip, zstd", '"abc-zstd"', '"abc-zstd"'),
        ("gzip", 'W/"abc-gzip"', 'W/"abc-gzip"'),
    ],
)
async def test_a_304_has_the_tag_of_the_client(
    coding: str | None, known: str, expected: str
) -> None:
    answer, body = await call("/sized", coding, if_none_match=known)
    assert (answer.status_code, body) == (304, b"")
    assert answer.headers["etag"] == expected
    assert "content-encoding" not in answer.headers
    assert answer.headers["vary"] == "Accept-Encoding"


@pytest.mark.parametrize(
    ("coding", "known"),
    [(None, '"abc-gzip"'), ("zstd", '"abc-gzip"'), ("gzip", '"x-gzip"'), ("gzip", "abc")],
)
async def test_another_tag_gets_the_response(coding: str | None, known: str) -> None:
    """A coding that the client does not accept now is another representation."""
    answer, body = await call("/sized", coding, if_none_match=known)
    assert answer.status_code == 200
    assert DECODED[coding](body) == TEXT


async def test_a_weak_tag_is_the_same_in_every_coding() -> None:
    answer, _ = await call("/sized?etag=W/%22abc%22", "gzip")
    assert answer.headers["etag"] == 'W/"abc"'
    answer, _ = await call("/sized?etag=W/%22abc%22", "gzip", if_none_match='W/"abc"')
    assert answer.status_code == 304
