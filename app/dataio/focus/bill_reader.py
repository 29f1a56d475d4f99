"""Reads the files of one bill: DuckDB groups their rows, and the groups become the bill."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from app.dataio.focus import duplicate_rows
from app.dataio.focus.charge_groups import Bill, EqualCharges, collect_bill
from app.dataio.focus.engine import Engine, Progress, UnreadableFile, open_engine
from app.dataio.focus.errors import FocusImportError
from app.dataio.focus.group_query import (
    COST,
    QUANTITIES,
    blank_statement,
    find_odd_groups,
    group_statement,
    parse_groups,
)
from app.dataio.focus.row_checks import rewrite
from app.dataio.focus.row_parser import parse_columns
from app.dataio.focus.sources import Source, open_source


class _UnusualRows(Exception):
    """Some rows must be read row by row: they are invalid, or have an unusual form."""


def read_bill(
    paths: Sequence[Path],
    currency: str | None = None,
    progress: Progress = lambda _: None,
    *,
    drop_tax: bool = False,
    allow_equal_rows: bool = True,
) -> Bill:
    """Return the grouped charges of several files: of all currencies, or of the given one.

    Calls `progress` with the fraction that has been read. Raises FocusImportError for an invalid
    file and, unless `allow_equal_rows`, for rows that several files have in common.
    """
    with open_engine() as engine:
        sources: list[Source] = []
        charges: list[EqualCharges] = []
        for position, path in enumerate(paths):

            def report(part: float, before: int = position) -> None:
                progress((before + part) / len(paths))

            with _prefix_errors(path, len(paths)):
                source, own = read_file(engine, path, f"file-{position}", report)
            sources.append(source)
            charges += own
            report(1)
        if len(sources) > 1 and not allow_equal_rows:
            duplicate_rows.reject(engine, sources)
    return collect_bill(charges, currency, drop_tax=drop_tax)


def read_file(
    engine: Engine, path: Path, name: str = "file", progress: Progress = lambda _: None
) -> tuple[Source, list[EqualCharges]]:
    """Return the charges of a file, and the source that they were read from.

    Files in the engine's directory begin with `name`. Raises FocusImportError.
    """
    source = open_source(engine, path, name)
    _ = source.positions  # missing columns come before all else
    try:
        if not source.has_plain_titles:
            raise _UnusualRows("titles")
        return source, _group(engine, source, progress)
    except (_UnusualRows, UnreadableFile):
        plain = rewrite(engine, source, f"{name}-plain")
    try:
        return plain, _group(engine, plain, progress)
    except (_UnusualRows, UnreadableFile) as error:
        raise FocusImportError(f"{path} cannot be read: {error}.") from error


def _group(engine: Engine, source: Source, progress: Progress) -> list[EqualCharges]:
    with ThreadPoolExecutor(1) as executor:
        is_text = executor.submit(source.is_text)
        found = engine.query(group_statement(source), progress)
        if not is_text.result():
            raise _UnusualRows("the encoding")
    rows, has_blank, has_odd = find_odd_groups(source, found)
    if has_odd:
        raise _UnusualRows("times or amounts")
    if has_blank and engine.query(blank_statement(source)) != [(0,)]:
        raise _UnusualRows("cells without a charge")
    if not rows:
        return []
    groups = parse_groups(source, rows)
    values = {
        "charge_start": groups.last_starts,
        "charge_end": groups.last_ends,
        "billed_cost": groups.sums[COST],
    }
    for field, name in zip(("pricing_quantity", "consumed_quantity"), QUANTITIES, strict=True):
        if name in groups.sums:
            values[field] = groups.sums[name]
    try:
        charges = parse_columns(groups.cells, values)
    except ValueError as error:
        raise _UnusualRows(str(error)) from error
    columns = zip(charges, groups.first_starts, groups.rows, strict=True)
    return [*map(EqualCharges._make, columns)]


@contextmanager
def _prefix_errors(path: Path, file_count: int) -> Iterator[None]:
    """Prefix the lines of an error with the name of the file if there are several files."""
    try:
        yield
    except FocusImportError as error:
        if file_count == 1:
            raise
        raise FocusImportError(*(f"{path}: {line}" for line in error.lines)) from error
