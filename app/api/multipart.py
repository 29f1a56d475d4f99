"""Multipart bodies, parsed in bounded memory: files are passed on as they arrive."""

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, Final, Protocol
from urllib.parse import unquote_to_bytes

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, MultipartState, parse_options_header

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


class MultipartError(Exception):
    """The body is not a multipart body, or is incomplete. The message states the reason."""


class TooMuchText(Exception):
    """The text fields together exceed `TEXT_MAX_BYTES`."""


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

    async def begin(self, name: str) -> None:
        """Begin a file, which replaces an earlier one of the same field."""

    async def write(self, data: bytes) -> None:
        """Receive a further chunk of the file."""


async def read_parts(
    chunks: AsyncIterator[bytes],
    boundary: bytes,
    charset: str,
    files: FileReceiver | None = None,
) -> dict[str, Any]:
    """Return the fields of a body. Raises `MultipartError` and `TooMuchText`.

    If several parts have the same name, the last file counts, or else the last text. A part with an
    empty file name is a text, or no field at all if it has no content. In the receiver's field, a
    part with content and an empty file name takes precedence over a file.
    """
    parts = _Parts(charset, files.field if files else None)
    try:
        parser = MultipartParser(
            boundary,
            {
                "on_part_begin": parts.begin,
                "on_header_begin": parts.begin_header,
                "on_header_field": parts.header_name,
                "on_header_value": parts.header_value,
                "on_header_end": parts.end_header,
                "on_headers_finished": parts.end_headers,
                "on_part_data": parts.data,
                "on_part_end": parts.end,
            },
        )
        async for chunk in chunks:
            for start in range(0, len(chunk), _SLICE):
                parser.write(chunk[start : start + _SLICE])
                await parts.flush(files)
    except FormParserError as error:
        raise MultipartError(str(error)) from None
    if parser.state != MultipartState.END:
        raise MultipartError("The body ends before its last boundary.")
    return parts.fields


class _Parts:
    """The state of the parser's callbacks."""

    def __init__(self, charset: str, file_field: str | None) -> None:
        self.fields: dict[str, Any] = {}
        self._charset = charset
        self._file_field = file_field
        self._parts_left = PARTS_MAX_NUMBER
        self._text_left = TEXT_MAX_BYTES
        self._header_name = b""
        self._header_value = b""
        self._disposition = b""
        self._transfer_encoding = b""
        self._field = ""
        self._is_optional = False
        """Whether the part counts as a field only if it has content."""
        self._text = bytearray()
        self._file: FilePart | None = None
        """The part, unless it is a text."""
        self._has_content = False
        self._has_nameless = False
        """Whether a part of the receiver's field had content but an empty file name."""
        # The parser's callbacks cannot await, so files and their chunks are queued here.
        self._queue: list[tuple[str, FilePart | bytes]] = []

    def begin(self) -> None:
        self._parts_left -= 1
        if self._parts_left < 0:
            raise MultipartError("There are too many parts.")
        self._disposition = b""
        self._transfer_encoding = b""
        self._has_content = False

    def begin_header(self) -> None:
        self._header_name = b""
        self._header_value = b""

    def header_name(self, data: bytes, start: int, end: int) -> None:
        self._header_name += data[start:end]

    def header_value(self, data: bytes, start: int, end: int) -> None:
        self._header_value += data[start:end]

    def end_header(self) -> None:
        match self._header_name.lower():
            case b"content-disposition":
                self._disposition = self._header_value
            case b"content-transfer-encoding":
                self._transfer_encoding = self._header_value.strip().lower()

    def end_headers(self) -> None:
        _, options = parse_options_header(self._disposition)
        if b"name" not in options:
            raise MultipartError("A part has no name.")
        if self._transfer_encoding not in _PLAIN:
            raise MultipartError("A part has a Content-Transfer-Encoding that is not read.")
        self._field = self._decode(options[b"name"])
        file_name = self._decode(options.get(b"filename", b"")) or _extended_file_name(
            self._disposition
        )
        # Browsers send an empty file input like this. As in Django, it is not a field.
        self._is_optional = b"filename" in options and not file_name
        self._text = bytearray()
        self._file = None
        if file_name:
            self._file = FilePart(file_name)
            if not self._has_nameless or self._field != self._file_field:
                self.fields[self._field] = self._file
            self._queue.append((self._field, self._file))
        elif self._field == self._file_field:
            self._file = FilePart("")

    def data(self, data: bytes, start: int, end: int) -> None:
        self._has_content = self._has_content or end > start
        if self._file is not None:
            self._file.sha256.update(data[start:end])
            if self._file.name:
                self._queue.append((self._field, data[start:end]))
            return
        self._text_left -= end - start
        if self._text_left < 0:
            raise TooMuchText
        self._text += data[start:end]

    def end(self) -> None:
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
            self.fields[self._field] = self._decode(bytes(self._text))

    async def flush(self, files: FileReceiver | None) -> None:
        """Pass the queued files and chunks to the receiver."""
        for name, piece in self._queue:
            if files is None or files.field != name:
                continue
            if isinstance(piece, FilePart):
                await files.begin(piece.name)
            else:
                await files.write(piece)
        self._queue.clear()

    def _decode(self, data: bytes) -> str:
        return data.decode(self._charset, errors="replace")


def _extended_file_name(disposition: bytes) -> str:
    """Return the file name in `filename*` of a Content-Disposition, or an empty text."""
    found = _EXTENDED.search(disposition)
    if found is None:
        return ""
    charset = found["charset"].decode()
    return unquote_to_bytes(found["name"]).decode(charset, errors="replace")
