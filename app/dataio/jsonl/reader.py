"""Reads a stream of JSON Lines: one record on each line."""

import gzip
import sys
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Final, NamedTuple

from pydantic import ValidationError

from app.dataio.import_report import RejectedRecord
from app.dataio.json_objects import dump_object, has_fractions, load_with_decimals
from app.dataio.records.invoices import InvoiceItemRecord
from app.dataio.records.payments import PaymentProfileRecord
from app.dataio.records.record import Record
from app.dataio.registry import record_adapter

STDIN: Final = "-"
MAX_LINE_BYTES: Final = 16 * 1024 * 1024
"""The limit of a line, unless a proof of the largest size needs more in base64."""
_BOM: Final = b"\xef\xbb\xbf"
_JSON_FIELDS: Final[dict[type[Record], str]] = {
    InvoiceItemRecord: "details",
    PaymentProfileRecord: "attributes",
}
_MAX_LISTED_ERRORS: Final = 5


class UnreadableFile(Exception):
    """The file cannot be opened, or not be read to its end."""


class Line(NamedTuple):
    """A line of the file: its record, or why it has none."""

    number: int
    """From 1."""
    size: int
    """In bytes."""
    content: Record | RejectedRecord


@contextmanager
def open_input(name: str) -> Iterator[tuple[BinaryIO, Callable[[], int]]]:
    """Open a file, or standard input; yield the stream and a function that returns the position.

    Raises `UnreadableFile`, also for an error while the stream is read.
    """
    try:
        if name == STDIN:
            yield sys.stdin.buffer, lambda: 0
            return
        with Path(name).open("rb") as file:
            if name.endswith(".gz"):
                with gzip.open(file) as unpacked:
                    yield unpacked, file.tell  # type: ignore[misc]  # reads as a BinaryIO does
            else:
                yield file, file.tell
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise UnreadableFile(f"{name} is not a complete gzip file: {error}") from error
    except OSError as error:
        if error.filename != name:
            raise
        raise UnreadableFile(f"{name} cannot be read: {error.strerror}") from error


def read_lines(stream: BinaryIO, max_bytes: int = MAX_LINE_BYTES) -> Iterator[Line]:
    """Parse line by line. Skips blank lines, and a byte order mark at the start."""
    number = 0
    while data := stream.readline(max_bytes + 1):
        number += 1
        size = len(data)
        if size > max_bytes and not data.endswith(b"\n"):
            _skip_line(stream, max_bytes)
            yield Line(number, size, RejectedRecord(number, f"longer than {max_bytes} bytes"))
            continue
        if number == 1:
            data = data.removeprefix(_BOM)
        if not data.isspace() and data:
            yield Line(number, size, parse_line(data, number))


def _skip_line(stream: BinaryIO, max_bytes: int) -> None:
    while (data := stream.readline(max_bytes)) and not data.endswith(b"\n"):
        pass


def parse_line(data: bytes, number: int) -> Record | RejectedRecord:
    """Return the record of a line, or the reason why it has none."""
    try:
        # The error message of a line with its line break would have two lines.
        record = record_adapter.validate_json(data.rstrip(b"\r\n"))
        field = _JSON_FIELDS.get(type(record))
        if field and has_fractions(dump_object(getattr(record, field)).encode()):
            exact = load_with_decimals(data).get(field)
            record = record if exact is None else record.model_copy(update={field: exact})
    except ValidationError as error:
        return RejectedRecord(number, describe_validation_error(error))
    except (ValueError, RecursionError):
        return RejectedRecord(number, "not JSON that can be read")
    return record


def describe_validation_error(error: ValidationError) -> str:
    """Return what is wrong with a record, field by field, without its values."""
    details = error.errors(include_url=False, include_input=False)
    messages = [_describe(each["type"], each["loc"], each["msg"]) for each in details]
    more = len(messages) - _MAX_LISTED_ERRORS
    return "; ".join(messages[:_MAX_LISTED_ERRORS]) + (f"; and {more} more" if more > 0 else "")


def _describe(error_type: str, location: tuple[int | str, ...], message: str) -> str:
    if error_type == "union_tag_not_found":
        return "kind is missing"
    if error_type == "union_tag_invalid":
        return "kind is not known"
    if error_type == "json_invalid":
        return message.replace(" at line 1 column ", " at column ")
    if error_type == "string_pattern_mismatch" and r"\x00" in message:
        message = "NUL characters cannot be stored"
    # The first part of the location is the kind.
    field = ".".join(str(part) for part in location[1:])
    message = message.removeprefix("Value error, ")
    return f"{field}: {message}" if field else message
