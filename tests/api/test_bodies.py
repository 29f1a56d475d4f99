"""Request bodies: the parsed fields, the error messages, and the size limits."""

import json
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import Request

from app.api.errors import ApiError
from app.api.multipart import PARTS_MAX_NUMBER, TEXT_MAX_BYTES, FilePart
from app.api.request_body import RequestBody, parse_body

JSON = "application/json"
FORM = "application/x-www-form-urlencoded"
MULTIPART = "multipart/form-data; boundary=B"


class Upload:
    """A request whose body arrives in chunks."""

    def __init__(
        self,
        chunks: Iterable[bytes],
        content_type: str | None,
        *,
        declared: int | None = None,
        expects_continue: bool = False,
        disconnects: bool = False,
    ) -> None:
        self._chunks = iter(chunks)
        self._disconnects = disconnects
        self.received = 0
        headers = []
        if content_type is not None:
            headers.append((b"content-type", content_type.encode("latin-1")))
        if declared is not None:
            headers.append((b"content-length", str(declared).encode()))
        if expects_continue:
            headers.append((b"expect", b"100-continue"))
        self.request = Request({"type": "http", "method": "POST", "headers": headers}, self._next)

    async def _next(self) -> dict[str, Any]:
        chunk = next(self._chunks, None)
        if chunk is None:
            if self._disconnects:
                return {"type": "http.disconnect"}
            return {"type": "http.request", "body": b"", "more_body": False}
        self.received += len(chunk)
        return {"type": "http.request", "body": chunk, "more_body": True}


class Files:
    """A receiver that records names and content."""

    field = "proof"

    def __init__(self, max_bytes: int = 1024) -> None:
        self.max_bytes = max_bytes
        self.names: list[str] = []
        self.count = 0
        self.content = b""

    async def begin(self, name: str) -> None:
        self.names.append(name)
        self.count += 1
        self.content = b""

    async def write(self, data: bytes) -> None:
        self.content += data

    def check(self) -> None:
        if not self.content:
            raise ValueError("empty")


async def read(
    body: bytes, content_type: str | None = JSON, files: Files | None = None
) -> RequestBody:
    return await parse_body(Upload([body] if body else [], content_type).request, files)


async def refused(body: bytes, content_type: str | None = JSON) -> tuple[int, Any]:
    with pytest.raises(ApiError) as caught:
        await read(body, content_type)
    return caught.value.status, caught.value.body


def part(name: str, content: str | bytes, *, file: str | None = None) -> bytes:
    disposition = f'form-data; name="{name}"' + (f'; filename="{file}"' if file is not None else "")
    content = content.encode() if isinstance(content, str) else content
    return f"--B\r\nContent-Disposition: {disposition}\r\n\r\n".encode() + content + b"\r\n"


@pytest.mark.parametrize(
    "content_type", [None, "", JSON, FORM, MULTIPART, "text/plain", "nonsense"]
)
async def test_an_empty_body_has_no_fields(content_type: str | None) -> None:
    assert (await read(b"", content_type)).fields == {}


@pytest.mark.parametrize(
    ("content_type", "media_type"),
    [
        (None, ""),
        ("text/plain", "text/plain"),
        ("application/xml; charset=utf-8", "application/xml; charset=utf-8"),
        ("application/jsonp", "application/jsonp"),
        ("application/vnd.api+json", "application/vnd.api+json"),
    ],
)
async def test_another_media_type_is_not_supported(
    content_type: str | None, media_type: str
) -> None:
    assert await refused(b"{}", content_type) == (
        415,
        {"detail": f'Unsupported media type "{media_type}" in request.'},
    )


@pytest.mark.parametrize(
    ("body", "content_type", "fields"),
    [
        (b'{"a": 1, "a": "2"}', JSON, {"a": "2"}),
        ('{"a": "õ"}'.encode("iso-8859-1"), "Application/JSON; charset=ISO-8859-1", {"a": "õ"}),
        ('{"a": "õ"}'.encode("utf-16"), 'application/json; charset="utf-16"', {"a": "õ"}),
        ('{"a": "õ"}'.encode(), "application/json; charset=punycode", {"a": "õ"}),
        (b"a=1&a=2&b=", FORM, {"a": "2", "b": ""}),
        (b"a=%C3%B5+x&c", FORM, {"a": "õ x", "c": ""}),
        (b"a=%F5", FORM + "; charset=iso-8859-1", {"a": "õ"}),
        (b"a=%FF", FORM, {"a": "�"}),
        (part("a", "1") + part("a", "õ") + b"--B--\r\n", MULTIPART, {"a": "õ"}),
        (part("a", "") + b"--B--", MULTIPART, {"a": ""}),
        (b"--B--\r\n", MULTIPART, {}),
        (b"--B--\r\nepilogue", MULTIPART, {}),
        (part("a", "", file="") + b"--B--\r\n", MULTIPART, {}),
        (part("a", "x", file="") + b"--B--\r\n", MULTIPART, {"a": "x"}),
        (part("a", "x") + part("a", "", file="") + b"--B--\r\n", MULTIPART, {"a": "x"}),
        (part("a", "x", file="f.txt") + b"--B--\r\n", MULTIPART, {"a": FilePart("f.txt")}),
        (
            part("a", "x", file="f") + part("a", "y") + b"--B--\r\n",
            MULTIPART,
            {"a": FilePart("f")},
        ),
        (
            part("a", "y") + part("a", "x", file="f") + b"--B--\r\n",
            MULTIPART,
            {"a": FilePart("f")},
        ),
        (
            b"--B\r\nContent-Disposition: form-data; name=a; filename*=UTF-8''%C3%B5.pdf"
            b"\r\n\r\nx\r\n--B--\r\n",
            MULTIPART,
            {"a": FilePart("õ.pdf")},
        ),
        (
            b"--B\r\nContent-Disposition: form-data; name=a; filename*=utf-7''f"
            b"\r\n\r\nx\r\n--B--\r\n",
            MULTIPART,
            {"a": "x"},
        ),
        (
            b"--B\r\nContent-Disposition: form-data; name=a\r\n"
            b"Content-Transfer-Encoding: 8Bit\r\n\r\nx\r\n--B--\r\n",
            MULTIPART,
            {"a": "x"},
        ),
    ],
)
async def test_fields_are_parsed(body: bytes, content_type: str, fields: dict[str, Any]) -> None:
    assert (await read(body, content_type)).fields == fields


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (b"{} x", "Extra data: line 1 column 4 (char 3)"),
        (b"{bad", "Expecting property name enclosed in double quotes: line 1 column 2 (char 1)"),
        (b" ", "Expecting value: line 1 column 2 (char 1)"),
        (b'{"a": NaN}', "Out of range float values are not JSON compliant: 'NaN'"),
        (b'{"a": -Infinity}', "Out of range float values are not JSON compliant: '-Infinity'"),
        (b'{"a": 1e999}', "Out of range float values are not JSON compliant: '1e999'"),
        (b'\xff{"a": 1}', "'utf-8' codec can't decode byte 0xff in position 0: invalid start byte"),
        (
            b"\xef\xbb\xbf{}",
            "Unexpected UTF-8 BOM (decode using utf-8-sig): line 1 column 1 (char 0)",
        ),
        (b"[" * 500_000, "nested too deeply"),
        (b'{"a":' * 150_000, "nested too deeply"),
    ],
)
async def test_invalid_json_is_refused(body: bytes, problem: str) -> None:
    assert await refused(body) == (400, {"detail": f"JSON parse error - {problem}"})


async def test_a_number_with_too_many_digits_is_refused() -> None:
    status, body = await refused(b'{"a": ' + b"9" * 5000 + b"}")
    assert status == 400
    assert body["detail"].startswith("JSON parse error - Exceeds the limit (4300")


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"[]", "Invalid data. Expected a dictionary, but got list."),
        (b'"x"', "Invalid data. Expected a dictionary, but got str."),
        (b"0", "Invalid data. Expected a dictionary, but got int."),
        (b"1.5", "Invalid data. Expected a dictionary, but got float."),
        (b"false", "Invalid data. Expected a dictionary, but got bool."),
        (b"null", "No data provided"),
    ],
)
async def test_json_other_than_an_object_is_refused(body: bytes, message: str) -> None:
    assert await refused(body) == (400, {"non_field_errors": [message]})


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (b"--B", MULTIPART),
        (b"garbage", MULTIPART),
        (part("a", "1"), MULTIPART),
        (part("a", "1", file="f"), MULTIPART),
        (b"--B\r\nContent-Disposition: form-data\r\n\r\nx\r\n--B--\r\n", MULTIPART),
        (b"--B\r\n\r\nx\r\n--B--\r\n", MULTIPART),
        (b"--B\r\n" + b"X: " + b"x" * 100_000 + b"\r\n\r\nx\r\n--B--\r\n", MULTIPART),
        (b"--B\r\n" + b"X: x\r\n" * 1000 + b"\r\nx\r\n--B--\r\n", MULTIPART),
        (part("a", "") * (PARTS_MAX_NUMBER + 1) + b"--B--\r\n", MULTIPART),
        (
            b"--B\r\nContent-Disposition: form-data; name=a\r\n"
            b"Content-Transfer-Encoding: base64\r\n\r\neA==\r\n--B--\r\n",
            MULTIPART,
        ),
        (b"--B--\r\n", "multipart/form-data"),
        (b"--B--\r\n", "multipart/form-data; boundary=" + "B" * 300),
    ],
)
async def test_an_invalid_multipart_body_is_refused(body: bytes, content_type: str) -> None:
    status, answer = await refused(body, content_type)
    assert status == 400
    assert answer["detail"].startswith("Multipart form parse error - ")


async def test_a_form_with_too_many_fields_is_refused() -> None:
    assert await refused(b"a&" * 2000, FORM) == (
        400,
        {"detail": "Form parse error - Max number of fields exceeded"},
    )


async def test_a_file_is_passed_to_its_receiver_and_others_are_discarded() -> None:
    files = Files()
    body = (
        part("other", b"o" * 10, file="other.txt")
        + part("proof", b"first", file="1.pdf")
        + part("proof", b"sec\r\n--ond", file="2.pdf")
        + b"--B--\r\n"
    )
    for size in (1, 3, 64, len(body)):
        chunks = [body[at : at + size] for at in range(0, len(body), size)]
        upload = Upload(chunks, MULTIPART)
        fields = (await parse_body(upload.request, files)).fields
        assert fields == {"other": FilePart("other.txt"), "proof": FilePart("2.pdf")}
        assert files.content == b"sec\r\n--ond"
    assert files.names == ["1.pdf", "2.pdf"] * 4


@pytest.mark.parametrize("file", [None, ""])
async def test_a_text_in_the_field_of_a_file_is_discarded(file: str | None) -> None:
    files = Files(max_bytes=10 * TEXT_MAX_BYTES)
    body = part("proof", b"x" * 2 * TEXT_MAX_BYTES, file=file) + b"--B--\r\n"
    assert (await read(body, MULTIPART, files)).fields == {"proof": FilePart("")}
    assert files.names == []
    for rest in (part("proof", ""), part("proof", "", file="")):
        several = part("proof", "x", file=file) + rest + b"--B--\r\n"
        assert (await read(several, MULTIPART, files)).fields == {"proof": FilePart("")}


@pytest.mark.parametrize("content_type", [JSON, FORM, MULTIPART])
async def test_a_body_with_too_large_a_content_length_is_not_read(content_type: str) -> None:
    chunks = (b"x" * 1024 for _ in range(10_000))
    upload = Upload(chunks, content_type, declared=TEXT_MAX_BYTES + 1)
    with pytest.raises(ApiError) as caught:
        await parse_body(upload.request)
    assert caught.value.status == 413
    assert caught.value.headers == {"Connection": "close"}
    assert upload.received == 1024  # the chunk that arrived with the head

    with_expect = Upload([b"x"], content_type, declared=TEXT_MAX_BYTES + 1, expects_continue=True)
    with pytest.raises(ApiError, match="413"):
        await parse_body(with_expect.request)
    assert with_expect.received == 0  # no 100 Continue is sent


@pytest.mark.parametrize(
    ("content_type", "start"),
    [
        (JSON, b""),
        (FORM, b""),
        (MULTIPART, part("a", b"")[:-2]),
        (MULTIPART, part("f", b"", file="f")[:-2]),
    ],
)
async def test_a_body_without_a_length_is_read_up_to_the_limit(
    content_type: str, start: bytes
) -> None:
    def chunks() -> Iterable[bytes]:
        if start:
            yield start
        while True:
            yield b"x" * 65536

    upload = Upload(chunks(), content_type)
    with pytest.raises(ApiError) as caught:
        await parse_body(upload.request)
    assert caught.value.status == 413
    assert caught.value.body == {
        "detail": f"The request body is larger than {TEXT_MAX_BYTES} bytes."
    }
    assert upload.received <= TEXT_MAX_BYTES + 65536 + len(start)


async def test_texts_may_not_use_the_limit_of_files() -> None:
    body = part("a", "x" * (TEXT_MAX_BYTES + 1)) + b"--B--\r\n"
    with pytest.raises(ApiError) as caught:
        await read(body, MULTIPART, Files(max_bytes=10 * TEXT_MAX_BYTES))
    assert caught.value.status == 413


@pytest.mark.parametrize("content_type", [JSON, FORM, MULTIPART])
async def test_a_disconnect_during_the_body_is_an_error(content_type: str) -> None:
    upload = Upload([b"--B"], content_type, disconnects=True)
    with pytest.raises(ApiError) as caught:
        await parse_body(upload.request)
    assert caught.value.status == 400


async def test_an_error_after_the_whole_body_keeps_the_connection() -> None:
    with pytest.raises(ApiError) as caught:
        await read(b"[]")
    assert caught.value.headers == {}


async def status_of(body: bytes, content_type: str) -> int:
    try:
        await read(body, content_type)
    except ApiError as error:
        json.dumps(error.body).encode()
        return error.status
    return 200


@given(st.binary(max_size=300), st.sampled_from([JSON, FORM, MULTIPART, "text/plain", ""]))
async def test_any_bytes_are_parsed_or_refused(body: bytes, content_type: str) -> None:
    assert await status_of(body, content_type) in (200, 400, 415)


PIECES = (
    b'--B|--|\r\n|\r|B|:|;|"|Content-Disposition: form-data|\0|; name="a"|; filename="f"|x|\xff'
    b"|; filename*=utf-8''%ff|; filename*=iso-8859-1'en'|; filename*=utf-7''+2AA-"
)


@given(st.lists(st.sampled_from(PIECES.split(b"|")), max_size=30).map(b"".join))
async def test_any_parts_are_parsed_or_refused(body: bytes) -> None:
    assert await status_of(body, MULTIPART) in (200, 400)
