"""DuckDB, which reads, checks and groups the charges of a file: its limits, errors and progress."""

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as NotDone
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from app.dataio.focus.errors import FocusImportError

Progress = Callable[[float], object]
"""Called with the fraction that is done, from 0 to 1."""

_MEMORY: Final = "384MB"
"""Beyond it, groups go to the temporary directory. Python and the buffers of files come on top."""
_DISK: Final = "1000TB"
"""No limit: the disk is one."""
_MAX_THREADS: Final = 4
_POLL_SECONDS: Final = 0.2
_STREAMED_ROWS: Final = 2048


class UnreadableFile(Exception):
    """DuckDB does not read a file: it is damaged, or of a form that DuckDB does not know."""


class Engine:
    """A database in memory, and the directory for all that does not fit into it."""

    def __init__(self, folder: Path) -> None:
        try:
            import duckdb  # noqa: PLC0415 - of the extra `focus`
        except ImportError as error:
            raise FocusImportError(
                "Cost exports are read by DuckDB, which is not installed.",
                "Install it with: pip install 'cloud-invoicing[focus]'",
            ) from error
        self.folder = folder
        self._errors = duckdb
        self._connection = duckdb.connect(
            config={
                "autoinstall_known_extensions": False,
                "autoload_known_extensions": False,
                "max_temp_directory_size": _DISK,
                "memory_limit": _MEMORY,
                "temp_directory": str(folder),
                "threads": min(os.cpu_count() or 1, _MAX_THREADS),
            }
        )
        self._connection.execute("SET TimeZone = 'UTC'")

    def query(
        self, statement: str, progress: Progress = lambda _: None, *, ordered: bool = False
    ) -> list[tuple[Any, ...]]:
        """Return the rows of a statement, in the order of the file's rows if `ordered`.

        Raises UnreadableFile for a file that DuckDB refuses, and FocusImportError if memory or disk
        do not suffice.
        """
        connection, errors = self._connection, self._errors
        connection.execute(f"SET preserve_insertion_order = {str(ordered).lower()}")
        with ThreadPoolExecutor(1) as executor:
            running = executor.submit(self._fetch, statement)
            try:
                while True:
                    try:
                        return running.result(_POLL_SECONDS)
                    except NotDone:
                        progress(max(0.0, connection.query_progress()) / 100)
            except (errors.OutOfMemoryException, errors.OutOfRangeException) as error:
                raise FocusImportError(f"The charges cannot be added up: {error}.") from error
            except errors.Error as error:
                raise UnreadableFile(str(error)) from error
            except BaseException:
                connection.interrupt()
                raise

    def _fetch(self, statement: str) -> list[tuple[Any, ...]]:
        # In parts: for the whole result at once DuckDB takes memory that it cannot move to disk.
        result = self._connection.execute(statement)
        rows = []
        while part := result.fetchmany(_STREAMED_ROWS):
            rows += part
        return rows

    def stream(self, statement: str) -> Iterator[tuple[Any, ...]]:
        """Yield the rows of a statement, in the order of the file's rows.

        Raises UnreadableFile for a file that DuckDB refuses.
        """
        self._connection.execute("SET preserve_insertion_order = true")
        try:
            result = self._connection.cursor().execute(statement)
            while rows := result.fetchmany(_STREAMED_ROWS):
                yield from rows
        except self._errors.Error as error:
            raise UnreadableFile(str(error)) from error

    def close(self) -> None:
        """Release the memory."""
        self._connection.close()


@contextmanager
def open_engine() -> Iterator[Engine]:
    """Yield an engine with a temporary directory, which TMPDIR places."""
    with TemporaryDirectory(prefix="focus-", ignore_cleanup_errors=True) as folder:
        engine = Engine(Path(folder))
        try:
            yield engine
        finally:
            engine.close()
