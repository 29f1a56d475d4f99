"""Multipart bodies, read in bounded memory: text is kept, files are handed on as they arrive."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, Final, Protocol

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, MultipartState, parse_options_header

TEXT_MAX_BYTES: Final = 1024 * 1024
"""How long the text fields of a body may be together, in bytes."""
PARTS_MAX_NUMBER: Final = 1000

# One write to the parser makes at most this many bytes of work between two awaits.
_SLICE: Final = 64 * 1024


class MultipartError(Exception):
    """The body is no multipart body, or ends too early; says why."""


class TooMuchText(Exception):
    """The text fields together are longer than is taken."""


@dataclass(frozen=True, slots=True)
class FilePart:
    """A file among the fields; its content went to the receiver, or was dropped."""

    name: str
    """As the sender calls it."""
    sha256: Any = field(default_factory=sha256, compare=False)
    """The digest of its content, as far as that has arrived."""


class FileReceiver(Protocol):
    """Takes the file of one field while it arrives."""

    field: str
    """The name of the field; files of other fields are dropped."""
    max_bytes: int
    """How many bytes of files the body may have."""

    async def begin(self, name: str) -> None:
        """Begin a file; one begun before, of the same field, no longer counts."""

    async def write(self, data: bytes) -> None:
        """Take a further piece of the file."""


async def read_parts(
    chunks: AsyncIterator[bytes],
    boundary: bytes,
    charset: str,
    files: FileReceiver | None = None,
) -> dict[str, Any]:
    """Read all parts; of parts with the same name, the last one counts.

    Raises `MultipartError` and `TooMuchText`.
    """
    parts = _Parts(charset)
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
                await parts.hand_over(files)
    except FormParserError as error:
        raise MultipartError(str(error)) from None
    if parser.state != MultipartState.END:
        raise MultipartError("The body ends before its last boundary.")
    return parts.fields


class _Parts:
    """What the parser has told so far."""

    def __init__(self, charset: str) -> None:
        self.fields: dict[str, Any] = {}
        self._charset = charset
        self._parts_left = PARTS_MAX_NUMBER
        self._text_left = TEXT_MAX_BYTES
        self._header_name = b""
        self._header_value = b""
        self._disposition = b""
        self._field = ""
        self._text: bytearray | None = None
        self._file: FilePart | None = None
        # The parser calls plain functions; what must be awaited waits here.
        self._files: list[tuple[str, FilePart | bytes]] = []

    def begin(self) -> None:
        self._parts_left -= 1
        if self._parts_left < 0:
            raise MultipartError("There are too many parts.")
        self._disposition = b""

    def begin_header(self) -> None:
        self._header_name = b""
        self._header_value = b""

    def header_name(self, data: bytes, start: int, end: int) -> None:
        self._header_name += data[start:end]

    def header_value(self, data: bytes, start: int, end: int) -> None:
        self._header_value += data[start:end]

    def end_header(self) -> None:
        if self._header_name.lower() == b"content-disposition":
            self._disposition = self._header_value

    def end_headers(self) -> None:
        _, options = parse_options_header(self._disposition)
        if b"name" not in options:
            raise MultipartError("A part has no name.")
        self._field = self._decoded(options[b"name"])
        self._text = None
        if b"filename" not in options:
            self._text = bytearray()
        elif options[b"filename"]:
            self._file = FilePart(self._decoded(options[b"filename"]))
            self.fields[self._field] = self._file
            self._files.append((self._field, self._file))
        else:
            # A browser's file input without a file, which is no field, as in Django.
            self._file = None
            self._field = ""

    def data(self, data: bytes, start: int, end: int) -> None:
        if self._text is None:
            if self._file is not None:
                self._file.sha256.update(data[start:end])
            self._files.append((self._field, data[start:end]))
            return
        self._text_left -= end - start
        if self._text_left < 0:
            raise TooMuchText
        self._text += data[start:end]

    def end(self) -> None:
        if self._text is not None:
            self.fields[self._field] = self._decoded(bytes(self._text))

    async def hand_over(self, files: FileReceiver | None) -> None:
        """Give the pieces of files that have arrived to their receiver."""
        for name, piece in self._files:
            wanted = files if files and files.field == name else None
            if wanted and isinstance(piece, FilePart):
                await wanted.begin(piece.name)
            elif wanted and isinstance(piece, bytes):
                await wanted.write(piece)
        self._files.clear()

    def _decoded(self, data: bytes) -> str:
        return data.decode(self._charset, errors="replace")
