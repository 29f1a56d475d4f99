"""The SQL statements that the API executes."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from fastapi import FastAPI
from sqlalchemy import event

_QUERIES = ("SELECT", "WITH")


@contextmanager
def noting_statements(
    app: FastAPI, note: Callable[[str, tuple[Any, ...]], object]
) -> Iterator[None]:
    """Call `note` with each statement of the API and its parameters."""
    drivers = set()

    def note_execution(_connection: Any, _cursor: Any, text: str, values: Any, *_: Any) -> None:
        note(text, tuple(values))

    def note_direct(query: Any) -> None:
        # The driver executes the beginnings and ends of transactions, too, and looks up types.
        if query.query.startswith(_QUERIES) and "typeinfo_tree" not in query.query:
            note(query.query, query.args)

    def watch(connection: Any, _record: Any, _proxy: Any) -> None:
        connection.driver_connection.add_query_logger(note_direct)
        drivers.add(connection.driver_connection)

    engine = app.state.database.engine.sync_engine
    event.listen(engine, "before_cursor_execute", note_execution)
    event.listen(engine, "checkout", watch)
    try:
        yield
    finally:
        event.remove(engine, "before_cursor_execute", note_execution)
        event.remove(engine, "checkout", watch)
        for driver in drivers:
            driver.remove_query_logger(note_direct)
