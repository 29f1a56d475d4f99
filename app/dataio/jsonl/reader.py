"""JSON Lines: one record a line, read as a stream and loaded in one transaction."""

import gzip
import sys
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from pydantic import ValidationError

from app.database.engine import Database
from app.dataio.import_report import Fault, Report
from app.dataio.jsonl.json_values import dump_object, has_fractions, load_exactly
from app.dataio.loader import importing
from app.dataio.prefetch import reading_ahead
from app.dataio.records import InvoiceItem, PaymentProfile, Record, any_record
from app.settings import Settings

STDIN: Final = "-"
LINE_BYTES: Final = 16 * 1024 * 1024
"""A line may have so many bytes, and what a proof of the largest size has in base64."""
_BOM: Final = b"\xef\xbb\xbf"
_OBJECT_OF: Final[dict[type[Record], str]] = {InvoiceItem: "details", PaymentProfile: "attributes"}
_PROBLEMS_TOLD: Final = 5


class UnreadableFile(Exception):
    """A file that cannot be read, or not to its end."""


@dataclass(frozen=True)
class Line:
    """A line of the file: the record in it, or what is wrong with it."""

    number: int
    """From 1."""
    size: int
    """In bytes."""
    content: Record | Fault


async def load_file(
    database: Database,
    settings: Settings,
    name: str,
    *,
    keep_good: bool = False,
    progress: Callable[[int], None] | None = None,
) -> Report:
    """Import a file, or standard input for `-`; a name that ends in `.gz` is unpacked.

    Everything is kept or nothing, but see `importing`, whose exceptions it raises beside
    `UnreadableFile`. `progress` is called with the bytes of the file that were read.
    """
    longest = max(LINE_BYTES, settings.proof_max_bytes * 4 // 3 + 64 * 1024)
    with opened(name) as (stream, position):
        async with (
            importing(database, settings, keep_good=keep_good) as loader,
            reading_ahead(read(stream, longest)) as lines,
        ):
            async for line in lines:
                if isinstance(line.content, Fault):
                    loader.refuse(line.content)
                else:
                    await loader.add(line.content, line.number, size=line.size)
                if progress is not None:
                    progress(position())
    return loader.report


@contextmanager
def opened(name: str) -> Iterator[tuple[BinaryIO, Callable[[], int]]]:
    """Open a file for reading; yields it and a function that tells how far it was read.

    Raises `UnreadableFile`, also for what goes wrong while it is read.
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
        raise UnreadableFile(f"{name} is not a whole gzip file: {error}") from error
    except OSError as error:
        if error.filename != name:
            raise
        raise UnreadableFile(f"{name} cannot be read: {error.strerror}") from error


def read(stream: BinaryIO, longest: int = LINE_BYTES) -> Iterator[Line]:
    """Read line by line; blank lines are skipped, and so is a byte order mark at the start."""
    number = 0
    while data := stream.readline(longest + 1):
        number += 1
        size = len(data)
        if size > longest and not data.endswith(b"\n"):
            _skip_line(stream, longest)
            yield Line(number, size, Fault(number, f"longer than {longest} bytes"))
            continue
        if number == 1:
            data = data.removeprefix(_BOM)
        if not data.isspace() and data:
            yield Line(number, size, parse(data, number))


def _skip_line(stream: BinaryIO, piece: int) -> None:
    while (data := stream.readline(piece)) and not data.endswith(b"\n"):
        pass


def parse(data: bytes, number: int) -> Record | Fault:
    """Return the record in a line, or what is wrong with it."""
    try:
        # Without the line's end, which would make a line of its own in what is wrong with it.
        record = any_record.validate_json(data.rstrip(b"\r\n"))
        field = _OBJECT_OF.get(type(record))
        if field and has_fractions(dump_object(getattr(record, field)).encode()):
            exactly = load_exactly(data).get(field)
            record = record if exactly is None else record.model_copy(update={field: exactly})
    except ValidationError as error:
        return Fault(number, describe(error))
    except (ValueError, RecursionError):
        return Fault(number, "not JSON that can be read")
    return record


def describe(error: ValidationError) -> str:
    """Tell what is wrong with a record, field by field, without repeating its values."""
    problems = error.errors(include_url=False, include_input=False)
    told = [_problem(each["type"], each["loc"], each["msg"]) for each in problems]
    more = len(told) - _PROBLEMS_TOLD
    return "; ".join(told[:_PROBLEMS_TOLD]) + (f"; and {more} more" if more > 0 else "")


def _problem(kind: str, place: tuple[int | str, ...], message: str) -> str:
    if kind == "union_tag_not_found":
        return "kind is missing"
    if kind == "union_tag_invalid":
        return "kind is not known"
    if kind == "json_invalid":
        return message.replace(" at line 1 column ", " at column ")
    if kind == "string_pattern_mismatch" and r"\x00" in message:
        message = "NUL characters cannot be stored"
    # The first part of the place is the kind.
    field = ".".join(str(part) for part in place[1:])
    message = message.removeprefix("Value error, ")
    return f"{field}: {message}" if field else message
