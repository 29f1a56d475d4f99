"""The SQL statements that are executed."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from fastapi import FastAPI
from sqlalchemy import event

from app.database.engine import Database

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


@contextmanager
def executed_statements(database: Database) -> Iterator[list[str]]:
    """Yield the statements that SQLAlchemy executes on a database within the context, as a list."""
    seen: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        seen.append(statement)

    engine = database.engine.sync_engine
    event.listen(engine, "before_cursor_execute", note)
    try:
        yield seen
    finally:
        event.remove(engine, "before_cursor_execute", note)
