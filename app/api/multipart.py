"""Multipart bodies, parsed in bounded memory: files are passed on as they arrive."""

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, Final, Protocol
from urllib.parse import unquote_to_bytes

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, MultipartState, parse_options_header

from app.api.errors import MalformedBody, TooLarge, body_too_long

TEXT_MAX_BYTES: Final = 1024 * 1024
"""The total size of the text fields of a body, in bytes."""
PARTS_MAX_NUMBER: Final = 1000

_PLAIN: Final = frozenset({b"", b"7bit", b"8bit", b"binary"})
"""Content-Transfer-Encodings that change nothing. RFC 7578 deprecates all of them."""
_EXTENDED: Final = re.compile(
    rb";\s*filename\*\s*=\s*(?P<charset>utf-8|iso-8859-1)'[^']*'(?P<name>[^;\s]+)", re.IGNORECASE
)
"""A file name as in RFC 8187. RFC 7578 forbids it in a form, but some clients send it."""

# The parser handles at most this many bytes between two awaits.
_SLICE: Final = 64 * 1024


@dataclass(frozen=True, slots=True)
class FilePart:
    """A file among the fields. Its content was passed to the receiver, or discarded."""

    name: str
    """As sent by the client. Empty for a part of the receiver's field that is not a file."""
    sha256: Any = field(default_factory=sha256, compare=False)
    """The digest of the content received so far."""


class FileReceiver(Protocol):
    """Receives the file of one field while it arrives."""

    field: str
    """The name of the field. Files of other fields are discarded."""
    max_bytes: int
    """The total size of the body's files."""
    count: int
    """The files of the field that have begun."""

    async def begin(self, name: str) -> None:
        """Begin a file, which replaces an earlier one of the same field."""

    async def write(self, data: bytes) -> None:
        """Receive a further chunk of the file."""

    def check(self) -> object:
        """Raise `ValueError` with a message for the sender unless the file is valid."""


async def read_parts(
    chunks: AsyncIterator[bytes],
    boundary: bytes | None,
    charset: str,
    files: FileReceiver | None = None,
) -> dict[str, Any]:
    """Return the fields of a body. Raises `MalformedBody` and `TooLarge`.

    If several parts have the same name, the last file counts, or else the last text. A part with an
    empty file name is a text, or no field at all if it has no content. In the receiver's field, a
    part with content and an empty file name takes precedence over a file.
    """
    if not boundary:
        raise _malformed("Invalid boundary in multipart: None")
    form = _Form(charset, files)
    try:
        parser = _Parser(boundary)
        async for chunk in chunks:
            for start in range(0, len(chunk), _SLICE):
                parser.write(chunk[start : start + _SLICE])
                for event, data in parser.events:
                    await form.handle(event, data)
                parser.events.clear()
    except FormParserError as error:
        raise _malformed(error) from None
    if parser.state != MultipartState.END:
        raise _malformed("The body ends before its last boundary.")
    return form.fields


def _malformed(reason: object) -> MalformedBody:
    return MalformedBody(f"Multipart form parse error - {reason}")


class _Parser(MultipartParser):
    """Collects its events instead of calling back, because a callback cannot await."""

    def __init__(self, boundary: bytes) -> None:
        super().__init__(boundary)
        self.events: list[tuple[str, bytes]] = []

    def callback(
        self, name: str, data: bytes | None = None, start: int | None = None, end: int | None = None
    ) -> None:
        self.events.append((name, b"" if data is None else data[start:end]))


@dataclass(slots=True)
class _Form:
    """The fields of a body, from the events of its parser."""

    charset: str
    files: FileReceiver | None
    fields: dict[str, Any] = field(default_factory=dict)
    _parts: int = 0
    _text_bytes: int = 0
    _name: bytes = b""
    _value: bytes = b""
    """The name and the value of a header, while they arrive."""
    _headers: dict[bytes, bytes] = field(default_factory=dict)
    _field: str = ""
    _is_optional: bool = False
    """Whether the part counts as a field only if it has content."""
    _text: bytearray = field(default_factory=bytearray)
    _file: FilePart | None = None
    """The part, unless it is a text."""
    _has_content: bool = False
    _has_nameless: bool = False
    """Whether a part of the receiver's field had content but an empty file name."""

    async def handle(self, event: str, data: bytes) -> None:
        match event:
            case "part_data":
                await self._add(data)
            case "part_begin":
                self._parts += 1
                if self._parts > PARTS_MAX_NUMBER:
                    raise _malformed("There are too many parts.")
                self._headers = {}
            case "header_field":
                self._name += data
            case "header_value":
                self._value += data
            case "header_end":
                self._headers[self._name.lower()] = self._value
                self._name = self._value = b""
            case "headers_finished":
                await self._begin_part()
            case "part_end":
                self._end_part()

    async def _begin_part(self) -> None:
        disposition = self._headers.get(b"content-disposition", b"")
        _, options = parse_options_header(disposition)
        if b"name" not in options:
            raise _malformed("A part has no name.")
        if self._headers.get(b"content-transfer-encoding", b"").strip().lower() not in _PLAIN:
            raise _malformed("A part has a Content-Transfer-Encoding that is not read.")
        self._field = options[b"name"].decode(self.charset, errors="replace")
        file_name = options.get(b"filename", b"").decode(self.charset, errors="replace")
        if not file_name and (extended := _EXTENDED.search(disposition)):
            charset = extended["charset"].decode()
            file_name = unquote_to_bytes(extended["name"]).decode(charset, errors="replace")
        # Browsers send an empty file input like this. As in Django, it is not a field.
        self._is_optional = b"filename" in options and not file_name
        self._has_content = False
        self._text.clear()
        self._file = None
        is_received = self.files is not None and self._field == self.files.field
        if file_name:
            self._file = FilePart(file_name)
            if not self._has_nameless or not is_received:
                self.fields[self._field] = self._file
            if self.files is not None and is_received:
                await self.files.begin(file_name)
        elif is_received:
            self._file = FilePart("")

    async def _add(self, data: bytes) -> None:
        self._has_content = self._has_content or bool(data)
        if self._file is not None:
            self._file.sha256.update(data)
            if self.files is not None and self._field == self.files.field and self._file.name:
                await self.files.write(data)
            return
        self._text_bytes += len(data)
        if self._text_bytes > TEXT_MAX_BYTES:
            raise TooLarge(body_too_long(TEXT_MAX_BYTES))
        self._text += data

    def _end_part(self) -> None:
        is_file = self._file is not None and self._file.name
        is_unused = self._is_optional and not self._has_content
        if is_file or is_unused:
            return
        is_nameless = self._file is not None and self._is_optional
        self._has_nameless = self._has_nameless or is_nameless
        if isinstance(self.fields.get(self._field), FilePart) and not is_nameless:
            return
        if self._file is not None and self._has_content:
            self.fields[self._field] = self._file
        else:
            self.fields[self._field] = self._text.decode(self.charset, errors="replace")
