"""Finds charges that several files of one import have in common, by a digest of each row.

Rows are equal if all cells of the columns that every file has are equal. The order of the columns,
the names of a column and the notation of an empty cell (empty or `NULL`) may differ.
"""

from collections.abc import Collection, Sequence
from typing import Final

from app.dataio.focus import column_names
from app.dataio.focus.engine import Engine
from app.dataio.focus.errors import FocusImportError
from app.dataio.focus.sources import TEXT, Source

_MAX_LISTED_PAIRS: Final = 20
_WHITE_SPACE: Final = "".join(filter(str.isspace, map(chr, range(0x3001))))


def reject(engine: Engine, sources: Sequence[Source]) -> None:
    """Raise FocusImportError if a row of one file is equal to a row of another."""
    if lines := describe(engine, sources):
        raise FocusImportError(
            *lines,
            "Import each charge once. If these files are parts of one export that has equal rows, "
            "--allow-equal-rows imports them.",
        )


def describe(engine: Engine, sources: Sequence[Source]) -> list[str]:
    """Return a line for each two files that have equal rows."""
    positions = [column_names.find_all_columns(each.titles) for each in sources]
    shared = sorted(set.intersection(*map(set, positions)))
    digests = " UNION ALL ".join(
        _digests(number, source, [own[name] for name in shared])
        for number, (source, own) in enumerate(zip(sources, positions, strict=True))
    )
    pairs = engine.query(_equal_rows(digests), ordered=True)
    lines = []
    for first, second, count, rows, first_row, second_row in pairs[:_MAX_LISTED_PAIRS]:
        one, other = sources[first], sources[second]
        lines.append(
            f"{one.path} and {other.path} have the same charges: {count:,} of the {rows:,} rows of "
            "the second file are in the first, equal in every cell "
            f"({_place(engine, one, first_row)} of the first, "
            f"{_place(engine, other, second_row)} of the second)."
        )
    if len(pairs) > _MAX_LISTED_PAIRS:
        lines.append(f"and {len(pairs) - _MAX_LISTED_PAIRS:,} more pairs of files")
    return lines


def _digests(number: int, source: Source, shared: Collection[int]) -> str:
    """Return a statement of the digests of a file's rows, which are not blank, in their order."""
    used = range(len(source.titles))
    has_cell = " OR ".join(f"coalesce(CAST(c{i} AS {TEXT}), '') <> ''" for i in used)
    # The length of a cell separates it from the next one.
    cells = ", ".join(f"length(cell{i}), ':', cell{i}" for i in shared)
    parsed = ", ".join(f"{_plain_cell(f'c{i}')} AS cell{i}" for i in shared)
    return f"""
(SELECT {number} AS file, row_number() OVER () AS place, md5_number(concat({cells})) AS digest
FROM (SELECT {parsed} FROM {source.table(used)} WHERE {has_cell}))"""  # noqa: S608 - made of positions and constants


def _plain_cell(column: str) -> str:
    text = f"trim(coalesce(CAST({column} AS {TEXT}), ''), '{_WHITE_SPACE}')"
    return f"CASE {text} WHEN 'NULL' THEN '' ELSE replace({text}, chr(13) || chr(10), chr(10)) END"


def _equal_rows(digests: str) -> str:
    """Return a statement of the pairs of files with equal rows, counted in the second of them."""
    return f"""
WITH digests AS MATERIALIZED ({digests}),
firsts AS (
    SELECT digest, min((file, place)) AS first FROM digests GROUP BY digest
    HAVING min(file) < max(file)
),
counts AS (SELECT file, count(*) AS rows FROM digests GROUP BY file)
SELECT first[1], file, count(*), any_value(counts.rows),
    arg_min(first[2], place), min(place)
FROM digests JOIN firsts USING (digest) JOIN counts USING (file)
WHERE first[1] < file
GROUP BY first[1], file ORDER BY first[1], file
"""  # noqa: S608 - made of positions and constants


def _place(engine: Engine, source: Source, number: int) -> str:
    """Return the line of the row that has a number among the rows that are not blank."""
    rows = (place for place, row in source.read_rows(engine) if any(row))
    for _ in range(number - 1):
        next(rows)
    return f"{source.unit} {next(rows):,}"
