"""The files of a bill, as tables of DuckDB and, for messages about single rows, row by row."""

import csv
import gzip
import re
import shutil
import zlib
from abc import ABC, abstractmethod
from codecs import getincrementaldecoder
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from io import TextIOWrapper
from pathlib import Path
from typing import Any, Final

from app.dataio.focus import column_names
from app.dataio.focus.engine import Engine, UnreadableFile
from app.dataio.focus.errors import FocusImportError
from app.dataio.focus.format_detection import GZIP, PARQUET, START_BYTES, require_csv

_MAX_CELL_CHARACTERS: Final = 16 * 1024 * 1024  # tags and price details can be long
_COPY_BYTES: Final = 1024 * 1024
TEXT: Final = "VARCHAR"
_NESTED_TYPE: Final = re.compile(r"(STRUCT|MAP|UNION|VARIANT)\b.*|.*\]", re.DOTALL)


@dataclass(frozen=True)
class Source(ABC):
    """A file whose rows DuckDB reads."""

    path: Path
    """The operator's file, which messages name."""
    local: Path
    """The same content, uncompressed, under a name without wildcards."""
    titles: Sequence[str]
    types: Sequence[str]
    """The type of each column in DuckDB. CSV has only texts."""

    unit = "row"
    """The noun for the number of a row in messages."""

    @cached_property
    def positions(self) -> Mapping[str, int]:
        """The positions of the known columns; raises FocusImportError for a missing column."""
        return column_names.find_columns(self.titles)

    @property
    def has_plain_titles(self) -> bool:
        """Whether the titles are the first line, after which DuckDB finds the rows."""
        return True

    def is_text(self) -> bool:
        """Return whether the whole file has the encoding of its format.

        DuckDB looks only at the columns that it reads.
        """
        return True

    @abstractmethod
    def table(self, positions: Sequence[int]) -> str:
        """Return the table of some columns, named c0, c1 and so on by their positions."""

    @abstractmethod
    def read_rows(self, engine: Engine) -> Iterator[tuple[int, Sequence[str]]]:
        """Yield the number and the cells of each row. The rows of CSV may have any width.

        Raises FocusImportError for a file that is damaged or no CSV.
        """


@dataclass(frozen=True)
class CsvSource(Source):
    """A CSV file in UTF-8."""

    title_lines: int = 1
    """The lines of the file up to the end of the titles."""

    unit = "line"

    @property
    def has_plain_titles(self) -> bool:  # noqa: D102 - as in Source
        return self.title_lines == 1

    def is_text(self) -> bool:  # noqa: D102 - as in Source
        decoder = getincrementaldecoder("utf-8")()
        try:
            with self.local.open("rb") as file:
                while part := file.read(_COPY_BYTES):
                    decoder.decode(part)
            decoder.decode(b"", final=True)
        except UnicodeDecodeError:
            return False
        return True

    def table(self, positions: Sequence[int]) -> str:  # noqa: D102 - as in Source
        columns = ", ".join(f"'c{i}': '{TEXT}'" for i in range(len(self.titles)))
        return (
            f"read_csv({_literal(self.local)}, auto_detect = false, header = false, skip = 1,"
            f" columns = {{{columns}}}, delim = ',', quote = '\"', escape = '\"', comment = '',"
            " compression = 'none', strict_mode = true, null_padding = false)"
        )

    def read_rows(  # noqa: D102 - as in Source
        self, engine: Engine
    ) -> Iterator[tuple[int, Sequence[str]]]:
        with _open_csv(self.path, self.local) as rows:
            _read_titles(rows)
            line = rows.line_num + 1
            for row in _read_rows(rows):
                yield line, row
                line = rows.line_num + 1


@dataclass(frozen=True)
class ParquetSource(Source):
    """A Parquet file."""

    def table(self, positions: Sequence[int]) -> str:  # noqa: D102 - as in Source
        columns = ", ".join(f"{_identifier(self.titles[i])} AS c{i}" for i in positions)
        return f"(SELECT {columns} FROM {_parquet(self.local)})"  # noqa: S608 - quoted names

    def read_rows(  # noqa: D102 - as in Source
        self, engine: Engine
    ) -> Iterator[tuple[int, Sequence[str]]]:
        columns = ", ".join(f"CAST({_identifier(title)} AS {TEXT})" for title in self.titles)
        try:
            rows = engine.stream(f"SELECT {columns} FROM {_parquet(self.local)}")  # noqa: S608
            for number, row in enumerate(rows, 1):
                yield number, [cell or "" for cell in row]
        except UnreadableFile as error:
            raise FocusImportError(f"{self.path} cannot be read: {error}.") from error


def open_source(engine: Engine, path: Path, name: str) -> Source:
    """Return the source of a file. What it needs on disk gets `name` in the engine's directory.

    Raises FocusImportError for a file that is neither CSV nor Parquet.
    """
    local = engine.folder / name
    try:
        with path.open("rb") as raw:
            start = raw.read(len(PARQUET))
            raw.seek(0)
            if start.startswith(GZIP):
                with gzip.open(raw) as content:
                    start = content.peek(START_BYTES)[:START_BYTES]
                    if not start.startswith(PARQUET):
                        require_csv(start)
                    with local.open("wb") as target:
                        shutil.copyfileobj(content, target, _COPY_BYTES)
            else:
                local.symlink_to(path.resolve())
    except (OSError, EOFError, zlib.error) as error:
        raise FocusImportError(f"{path} cannot be read: {error}.") from error
    if start.startswith(PARQUET):
        return _open_parquet(engine, path, local)
    return open_csv(path, local)


def open_csv(path: Path, local: Path) -> CsvSource:
    """Return the source of an uncompressed CSV file; raises FocusImportError for other formats."""
    with _open_csv(path, local) as rows:
        titles = _read_titles(rows)
        return CsvSource(path, local, titles, [TEXT] * len(titles), rows.line_num)


def _open_parquet(engine: Engine, path: Path, local: Path) -> ParquetSource:
    try:
        columns = engine.query(f"DESCRIBE FROM {_parquet(local)}")
    except UnreadableFile as error:
        raise FocusImportError(f"{path} cannot be read: {error}.") from error
    source = ParquetSource(path, local, [row[0] for row in columns], [row[1] for row in columns])
    for position in source.positions.values():
        if _NESTED_TYPE.fullmatch(source.types[position]):
            raise FocusImportError(
                f"The column {source.titles[position]} has lists or structures, not single values."
            )
    return source


@contextmanager
def _open_csv(path: Path, local: Path) -> Iterator[Any]:
    """Yield a reader of the rows. Messages name `path`."""
    csv.field_size_limit(_MAX_CELL_CHARACTERS)
    try:
        with local.open("rb") as raw:
            require_csv(raw.peek(START_BYTES)[:START_BYTES])
            lines = TextIOWrapper(raw, encoding="utf-8-sig", newline="")
            yield csv.reader(lines, strict=True)
    except UnicodeDecodeError as error:
        raise FocusImportError(
            f"{path} is not UTF-8 text: {error.reason}.", "Save it as CSV in UTF-8."
        ) from error
    except OSError as error:
        raise FocusImportError(f"{path} cannot be read: {error}.") from error


def _read_rows(rows: Any) -> Iterator[list[str]]:
    while True:
        try:
            row = next(rows)
        except StopIteration:
            return
        except csv.Error as error:
            raise FocusImportError(f"line {rows.line_num}: {error}") from error
        yield row


def _read_titles(rows: Any) -> list[str]:
    titles = next((row for row in _read_rows(rows) if any(row)), None)
    if titles is None:
        raise FocusImportError("The file is empty.")
    return titles


def _parquet(path: Path) -> str:
    # Some writers do not mark texts as such.
    return f"read_parquet({_literal(path)}, binary_as_string = true)"


def _literal(path: Path) -> str:
    return "'" + str(path).replace("'", "''") + "'"


def _identifier(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
