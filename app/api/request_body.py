"""Request bodies: JSON, forms and multipart.

An operation parses its body itself, after every check that does not need it. Parse errors have the
messages of Django REST framework. A body is measured while it arrives, and not read past its limit.
"""

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any, Final, NoReturn
from urllib.parse import parse_qsl

from python_multipart.multipart import parse_options_header
from starlette.requests import ClientDisconnect, Request

from app.api.errors import (
    ApiError,
    InvalidFields,
    MalformedBody,
    TooLarge,
    UnsupportedMediaType,
    api_error_of,
    body_too_long,
)
from app.api.multipart import PARTS_MAX_NUMBER, TEXT_MAX_BYTES, FileReceiver, read_parts
from app.domain_errors import DomainError

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

    Raises `UnsupportedMediaType`, `TooLarge`, `MalformedBody`, `InvalidFields` for JSON that is not
    an object, and what `files` raises.
    """
    content_type = request.headers.get("content-type", "")
    media_type, parameters = parse_options_header(content_type)
    charset = parameters.get(b"charset", b"").decode("latin-1").lower().replace("_", "-")
    charset = charset if charset in _CHARSETS else _UTF_8
    files_max_bytes = files.max_bytes if files and media_type == b"multipart/form-data" else 0
    stream = _Stream(request, TEXT_MAX_BYTES + files_max_bytes)
    try:
        if not await stream.start():
            return RequestBody({})
        match media_type:
            case b"application/json":
                return RequestBody(_parse_json(await stream.read(), charset))
            case b"application/x-www-form-urlencoded":
                return RequestBody(_parse_form(await stream.read(), charset), from_form=True)
            case b"multipart/form-data":
                boundary = parameters.get(b"boundary")
                parts = await read_parts(stream.chunks(), boundary, charset, files)
                return RequestBody(parts, from_form=True)
            case _:
                raise UnsupportedMediaType(content_type)
    except (ApiError, DomainError, ClientDisconnect) as error:
        raise _body_error(error, stream) from None


def _body_error(error: Exception, stream: "_Stream") -> ApiError:
    if isinstance(error, ClientDisconnect):
        error = MalformedBody("The connection ended before the request did.")
    api_error = api_error_of(error)
    if not stream.ended:
        # Otherwise the server would read the rest only to discard it.
        api_error.headers["Connection"] = "close"
    return api_error


@dataclass(slots=True)
class _Stream:
    """The request's body as it arrives."""

    request: Request
    limit: int
    ended: bool = False
    _is_too_long: bool = False
    """Whether the declared length exceeds the limit."""
    _first: bytes = b""
    _chunks: AsyncIterator[bytes] = field(init=False)

    async def start(self) -> bool:
        """Wait for the first chunk. Return False if the body is empty.

        If the client expects `100 Continue` for too long a body, the request is refused.
        """
        headers = self.request.headers
        declared = headers.get("content-length", "")
        self._is_too_long = declared.isdecimal() and int(declared) > self.limit
        if self._is_too_long and "expect" in headers:
            raise TooLarge(body_too_long(self.limit))
        self._chunks = aiter(self.request.stream())
        self._first = await anext(self._chunks, b"")
        self.ended = not self._first
        return not self.ended

    async def chunks(self) -> AsyncIterator[bytes]:
        total = 0
        chunk = self._first
        while chunk:
            total += len(chunk)
            if self._is_too_long or total > self.limit:
                raise TooLarge(body_too_long(self.limit))
            yield chunk
            chunk = await anext(self._chunks, b"")
        self.ended = True

    async def read(self) -> bytes:
        return b"".join([chunk async for chunk in self.chunks()])


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
