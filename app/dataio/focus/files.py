"""Reads the files of one bill."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from app.dataio.focus.duplicate_rows import DuplicateRows
from app.dataio.focus.errors import FocusImportError
from app.dataio.focus.reader import Charge, Progress, read_charges, read_column_titles


def read_files(
    paths: Sequence[Path], progress: Progress, *, allow_equal_rows: bool
) -> Iterator[Charge]:
    """Yield the charges of several files.

    Calls `progress` with the fraction that has been read. Raises FocusImportError for an invalid
    file and, unless `allow_equal_rows`, for rows that several files have in common.
    """
    duplicates = None
    if len(paths) > 1 and not allow_equal_rows:
        titles = []
        for path in paths:
            with _prefix_errors(path, len(paths)):
                titles.append(read_column_titles(path))
        duplicates = DuplicateRows(titles)
    for position, path in enumerate(paths):

        def report(part: float, before: int = position) -> None:
            progress((before + part) / len(paths))

        listener = duplicates.row_listener(position) if duplicates else None
        with _prefix_errors(path, len(paths)):
            yield from read_charges(path, report, listener)
    if duplicates and (lines := list(duplicates.describe([str(path) for path in paths]))):
        raise FocusImportError(
            *lines,
            "Import each charge once. If these files are parts of one export that has equal rows, "
            "--allow-equal-rows imports them.",
        )


@contextmanager
def _prefix_errors(path: Path, file_count: int) -> Iterator[None]:
    """Prefix the lines of an error with the name of the file if there are several files."""
    try:
        yield
    except FocusImportError as error:
        if file_count == 1:
            raise
        raise FocusImportError(*(f"{path}: {line}" for line in error.lines)) from error
