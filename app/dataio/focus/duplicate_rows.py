"""The same charges in several files of one command: found by a digest of each row."""

from collections.abc import Iterator, Sequence
from hashlib import blake2b
from operator import itemgetter

from app.dataio.focus import columns
from app.dataio.focus.reader import RowListener

_DIGEST_BYTES = 16
_PAIRS_TOLD = 20
_LINES = 2**40
"""More lines than a file has: a file and a line in it make one number, which takes less memory."""


class EqualRows:
    """Counts the rows that files have in common with those before them.

    Rows are equal if they are equal in every cell of all columns that the files have, in whatever
    order, whichever name of one column a file uses, and whether a cell without a value is empty or
    holds `NULL`. Columns that some of the files do not have are not compared. Takes about 130 bytes
    of memory for each row.
    """

    def __init__(self, titles: Sequence[Sequence[str]]) -> None:
        """Take the titles of each file; raises NotImported where needed columns are missing."""
        places = [columns.all_places(each) for each in titles]
        shared = sorted(set.intersection(*map(set, places)))
        self._cells = [itemgetter(*(each[name] for name in shared)) for each in places]
        self._rows = [0] * len(places)
        self._first: dict[bytes, int] = {}
        self._equal: dict[tuple[int, int], tuple[int, int, int]] = {}

    def listener(self, file: int) -> RowListener:
        """Return what notes the rows of a file; files are read one after the other."""
        cells, first, start = self._cells[file], self._first, file * _LINES

        def note(line: int, values: Sequence[str]) -> None:
            self._rows[file] += 1
            place = first.setdefault(_digest(cells(values)), start + line)
            if place < start:
                self._note_equal(place, file, line)

        return note

    def _note_equal(self, place: int, file: int, line: int) -> None:
        earlier, earlier_line = divmod(place, _LINES)
        count, *lines = self._equal.get((earlier, file), (0, earlier_line, line))
        self._equal[earlier, file] = (count + 1, lines[0], lines[1])

    def lines(self, names: Sequence[str]) -> Iterator[str]:
        """Yield a line for each two files that hold the same charges, by the names of the files."""
        pairs = sorted(self._equal.items())
        for (one, other), (count, line, other_line) in pairs[:_PAIRS_TOLD]:
            yield (
                f"{names[one]} and {names[other]} hold the same charges: {count:,} of the "
                f"{self._rows[other]:,} rows of the second are in the first, equal in every cell "
                f"(line {line:,} of the first, line {other_line:,} of the second)."
            )
        if len(pairs) > _PAIRS_TOLD:
            yield f"and {len(pairs) - _PAIRS_TOLD:,} more such files"


def _digest(values: Sequence[str]) -> bytes:
    cells = [cell.strip() for cell in values]
    text = repr(["" if cell == "NULL" else cell.replace("\r\n", "\n") for cell in cells])
    return blake2b(text.encode(), digest_size=_DIGEST_BYTES).digest()
