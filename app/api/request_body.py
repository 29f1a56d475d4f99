"""Request bodies: JSON, forms and multipart.

An operation parses its body itself, after every check that does not need it. Parse errors have the
messages of Django REST framework. A body is measured while it arrives, and not read past its limit.
"""

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, Final, NoReturn
from urllib.parse import parse_qsl

from python_multipart.multipart import parse_options_header
from starlette.requests import ClientDisconnect, Request

from app.api.errors import ApiError, InvalidFields, MalformedBody, TooLarge, UnsupportedMediaType
from app.api.middleware.limits import body_too_long
from app.api.multipart import (
    PARTS_MAX_NUMBER,
    TEXT_MAX_BYTES,
    FileReceiver,
    MultipartError,
    TooMuchText,
    read_parts,
)

_UTF_8: Final = "utf-8"
# Python has more codecs. Some of them are very slow, or do not decode text.
_CHARSETS: Final = frozenset(
    {"us-ascii", "ascii", _UTF_8, "utf8", "utf-16", "utf-16le", "utf-16be", "utf-32"}
    | {f"iso-8859-{part}" for part in range(1, 17) if part != 12}
    | {"latin-1", "latin1"}
    | {f"windows-{page}" for page in range(1250, 1259)}
)


@dataclass(frozen=True, slots=True)
class RequestBody:
    """The fields of a request body."""

    fields: dict[str, Any]
    """JSON values, texts of a form, or a `FilePart` for a file."""
    from_form: bool = False
    """Whether the body was a form. In a form, an empty text stands for a field without a value."""


async def parse_body(request: Request, files: FileReceiver | None = None) -> RequestBody:
    """Parse the body. An empty body has no fields, whatever its media type.

    The file of a multipart body is passed to `files` while it arrives.

    Raises `UnsupportedMediaType`, `TooLarge`, `MalformedBody`, and `InvalidFields` for JSON that is
    not an object.
    """
    stream = _Stream(request)
    try:
        return await _parse(request, stream, files)
    except ApiError as error:
        if not stream.ended:
            # Otherwise the server would read the rest only to discard it.
            error.headers["Connection"] = "close"
        raise


async def _parse(request: Request, stream: "_Stream", files: FileReceiver | None) -> RequestBody:
    content_type = request.headers.get("content-type", "")
    media_type, parameters = _parse_content_type(content_type)
    charset = _charset(parameters)
    files_max_bytes = files.max_bytes if files and media_type == "multipart/form-data" else 0
    if not await stream.start(TEXT_MAX_BYTES + files_max_bytes):
        return RequestBody({})
    match media_type:
        case "application/json":
            return RequestBody(_parse_json(await stream.read(), charset))
        case "application/x-www-form-urlencoded":
            return RequestBody(_parse_form(await stream.read(), charset), from_form=True)
        case "multipart/form-data":
            boundary = parameters.get(b"boundary")
            parts = await _parse_multipart(stream.chunks(), boundary, charset, files)
            return RequestBody(parts, from_form=True)
        case _:
            raise UnsupportedMediaType(content_type)


class _Stream:
    """The request's body as it arrives."""

    def __init__(self, request: Request) -> None:
        self.ended = False
        self._declared = request.headers.get("content-length", "")
        self._expects_continue = "expect" in request.headers
        self._chunks = aiter(request.stream())
        self._first = b""
        self._limit = 0

    async def start(self, limit: int) -> bool:
        """Wait for the first chunk. Return False if the body is empty.

        If the client expects `100 Continue` for more than `limit` bytes, the request is refused.
        """
        self._limit = limit
        if self._expects_continue:
            self._check_declared()
        self._first = await self._next()
        return bool(self._first)

    def _check_declared(self) -> None:
        if self._declared.isdecimal() and int(self._declared) > self._limit:
            raise TooLarge(body_too_long(self._limit))

    async def _next(self) -> bytes:
        try:
            chunk = await anext(self._chunks, b"")
        except ClientDisconnect:
            raise MalformedBody("The connection ended before the request did.") from None
        self.ended = not chunk
        return chunk

    async def chunks(self) -> AsyncIterator[bytes]:
        self._check_declared()
        total = 0
        chunk = self._first
        while chunk:
            total += len(chunk)
            if total > self._limit:
                raise TooLarge(body_too_long(self._limit))
            yield chunk
            chunk = await self._next()

    async def read(self) -> bytes:
        return b"".join([chunk async for chunk in self.chunks()])


def _parse_content_type(content_type: str) -> tuple[str, dict[bytes, bytes]]:
    media_type, parameters = parse_options_header(content_type)
    return media_type.decode("latin-1").strip(), parameters


def _charset(parameters: dict[bytes, bytes]) -> str:
    name = parameters.get(b"charset", b"").decode("latin-1").lower().replace("_", "-")
    return name if name in _CHARSETS else _UTF_8


def _refuse_constant(constant: str) -> NoReturn:
    raise ValueError(f"Out of range float values are not JSON compliant: {constant!r}")


def _parse_float(text: str) -> float:
    number = float(text)
    if number in (float("inf"), float("-inf")):
        _refuse_constant(text)
    return number


def _parse_json(body: bytes, charset: str) -> dict[str, Any]:
    try:
        value = json.loads(
            body.decode(charset), parse_constant=_refuse_constant, parse_float=_parse_float
        )
    except RecursionError:
        raise MalformedBody("JSON parse error - nested too deeply") from None
    except ValueError as error:
        raise MalformedBody(f"JSON parse error - {error}") from None
    if value is None:
        raise InvalidFields({"non_field_errors": ["No data provided"]})
    if not isinstance(value, dict):
        message = f"Invalid data. Expected a dictionary, but got {type(value).__name__}."
        raise InvalidFields({"non_field_errors": [message]})
    return value


def _parse_form(body: bytes, charset: str) -> dict[str, Any]:
    try:
        pairs = parse_qsl(
            body.decode(charset, errors="replace"),
            keep_blank_values=True,
            encoding=charset,
            errors="replace",
            max_num_fields=PARTS_MAX_NUMBER,
        )
    except ValueError as error:
        raise MalformedBody(f"Form parse error - {error}") from None
    return dict(pairs)


async def _parse_multipart(
    chunks: AsyncIterator[bytes],
    boundary: bytes | None,
    charset: str,
    files: FileReceiver | None,
) -> dict[str, Any]:
    if not boundary:
        raise MalformedBody("Multipart form parse error - Invalid boundary in multipart: None")
    try:
        return await read_parts(chunks, boundary, charset, files)
    except TooMuchText:
        raise TooLarge(body_too_long(TEXT_MAX_BYTES)) from None
    except MultipartError as error:
        raise MalformedBody(f"Multipart form parse error - {error}") from None
