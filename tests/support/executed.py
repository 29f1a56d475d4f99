"""The SQL statements that are executed."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import asyncpg  # type: ignore[import-untyped]  # it has no types
from fastapi import FastAPI
from sqlalchemy import event

from app.database.engine import Database


@contextmanager
def noting_statements(
    app: FastAPI, note: Callable[[str, tuple[Any, ...]], object]
) -> Iterator[None]:
    """Call `note` with each statement of the API and its parameters."""
    drivers = set()

    def note_execution(_connection: Any, _cursor: Any, text: str, values: Any, *_: Any) -> None:
        note(text, tuple(values))

    def watch(connection: Any, _record: Any, _proxy: Any) -> None:
        drivers.add(connection.driver_connection)

    fetch = asyncpg.Connection.fetch

    async def noted_fetch(self: Any, query: str, *values: Any, **options: Any) -> Any:
        # Of `DirectSelect`; SQLAlchemy prepares its statements. The driver's own loggers are called
        # later, perhaps after the response.
        if self in drivers:
            note(query, values)
        return await fetch(self, query, *values, **options)

    engine = app.state.database.engine.sync_engine
    event.listen(engine, "before_cursor_execute", note_execution)
    event.listen(engine, "checkout", watch)
    try:
        with patch.object(asyncpg.Connection, "fetch", noted_fetch):
            yield
    finally:
        event.remove(engine, "before_cursor_execute", note_execution)
        event.remove(engine, "checkout", watch)


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
