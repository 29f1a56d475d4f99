"""Reads a file row by row where DuckDB found an invalid or an unusual row."""

import csv
from collections.abc import Iterator, Sequence
from typing import Final

from app.dataio.focus import cells
from app.dataio.focus.engine import Engine
from app.dataio.focus.errors import FocusImportError
from app.dataio.focus.group_query import COST, QUANTITIES, TIMES
from app.dataio.focus.row_parser import RowParser
from app.dataio.focus.sources import CsvSource, Source, open_csv

_MAX_LISTED_ERRORS: Final = 20


def rewrite(engine: Engine, source: Source, name: str) -> CsvSource:
    """Return the rows of a file as plain CSV, with the values of all columns.

    The copy gets `name` in the engine's directory. Raises FocusImportError with the rows and
    columns of invalid cells.
    """
    path = engine.folder / name
    with path.open("w", encoding="utf-8", newline="") as file:
        # Every cell has quotes: a row of empty cells is no empty line.
        writer = csv.writer(file, quoting=csv.QUOTE_ALL, lineterminator="\n")
        writer.writerow([title.replace("\n", " ").replace("\r", " ") for title in source.titles])
        writer.writerows(_read_valid_rows(engine, source))
    return open_csv(source.path, path)


def _read_valid_rows(engine: Engine, source: Source) -> Iterator[Sequence[str]]:
    parse_row = RowParser(source.titles)
    width = len(source.titles)
    parsers = [
        (source.positions[name], parse)
        for names, parse in (((COST, *QUANTITIES), cells.parse_text), (TIMES, _plain_time))
        for name in names
        if name in source.positions
    ]
    errors: list[str] = []
    for number, row in source.read_rows(engine):
        if not any(row):
            continue
        try:
            parse_row(row)
        except ValueError as error:
            errors.append(f"{source.unit} {number}: {error}")
        if not errors:
            plain = [*row[:width], *[""] * (width - len(row))]
            for position, parse in parsers:
                plain[position] = parse(plain[position])
            yield plain
    if errors:
        listed = errors[:_MAX_LISTED_ERRORS]
        if len(errors) > len(listed):
            listed.append(f"and {len(errors) - len(listed):,} more invalid rows")
        raise FocusImportError(*listed)


def _plain_time(cell: str) -> str:
    return cells.parse_timestamp(cell).replace(tzinfo=None).isoformat(" ")
