"""Finds charges that several files of one import have in common, by a digest of each row."""

from collections.abc import Iterator, Sequence
from hashlib import blake2b
from operator import itemgetter

from app.dataio.focus import column_names
from app.dataio.focus.reader import RowListener

_DIGEST_BYTES = 16
_MAX_LISTED_PAIRS = 20
_MAX_LINES = 2**40
"""More lines than a file has. One number for a file and its line takes less memory than two."""


class DuplicateRows:
    """Counts the rows of each file that are equal to rows of the files before it.

    Rows are equal if all cells of the columns that every file has are equal. The order of the
    columns, the names of a column and the notation of an empty cell (empty or `NULL`) may differ.
    Takes about 130 bytes of memory for each row.
    """

    def __init__(self, titles: Sequence[Sequence[str]]) -> None:
        """Take the titles of each file; raises FocusImportError if a required column is missing."""
        positions = [column_names.find_all_columns(each) for each in titles]
        shared = sorted(set.intersection(*map(set, positions)))
        self._get_cells = [itemgetter(*(each[name] for name in shared)) for each in positions]
        self._row_counts = [0] * len(positions)
        self._first: dict[bytes, int] = {}
        self._equal: dict[tuple[int, int], tuple[int, int, int]] = {}

    def row_listener(self, file: int) -> RowListener:
        """Return a listener for the rows of a file. The files must be read one after the other."""
        get_cells, first, start = self._get_cells[file], self._first, file * _MAX_LINES

        def add_row(line: int, cells: Sequence[str]) -> None:
            self._row_counts[file] += 1
            position = first.setdefault(_digest(get_cells(cells)), start + line)
            if position < start:
                self._add_equal(position, file, line)

        return add_row

    def _add_equal(self, position: int, file: int, line: int) -> None:
        earlier, earlier_line = divmod(position, _MAX_LINES)
        count, *lines = self._equal.get((earlier, file), (0, earlier_line, line))
        self._equal[earlier, file] = (count + 1, lines[0], lines[1])

    def describe(self, names: Sequence[str]) -> Iterator[str]:
        """Yield a line for each two files that have equal rows, with the names of the files."""
        pairs = sorted(self._equal.items())
        for (one, other), (count, line, other_line) in pairs[:_MAX_LISTED_PAIRS]:
            yield (
                f"{names[one]} and {names[other]} have the same charges: {count:,} of the "
                f"{self._row_counts[other]:,} rows of the second file are in the first, equal in "
                f"every cell (line {line:,} of the first, line {other_line:,} of the second)."
            )
        if len(pairs) > _MAX_LISTED_PAIRS:
            yield f"and {len(pairs) - _MAX_LISTED_PAIRS:,} more pairs of files"


def _digest(values: Sequence[str]) -> bytes:
    cells = [cell.strip() for cell in values]
    text = repr(["" if cell == "NULL" else cell.replace("\r\n", "\n") for cell in cells])
    return blake2b(text.encode(), digest_size=_DIGEST_BYTES).digest()
