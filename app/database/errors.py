"""Which failures mean that the database cannot answer now, though the request was good."""

from collections.abc import Iterator
from contextlib import contextmanager

import asyncpg  # type: ignore[import-untyped]  # it has no types
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from app.logging import error_message

_CLASSES = ("08", "53", "57", "58")
"""SQLSTATE classes: connection lost, resources exhausted, stopped by an operator or a timeout,
errors of the server's system, such as of its disk."""
_STATES = ("40001", "40P01", "55P03", "25P03", "25P04")
"""Lost to a concurrent transaction; a lock not to be had; a transaction that stood still for too
long, or lasted too long."""
_READ_ONLY = "25006"


_NOT_CONNECTED = (
    OSError,
    PoolTimeout,
    DBAPIError,
    asyncpg.PostgresError,
    # The driver's own: none of the hosts is as `target_session_attrs` wants it.
    asyncpg.InternalClientError,
    asyncpg.InterfaceError,
)


class DatabaseUnavailable(SQLAlchemyError):
    """The database is away, full, too slow or restarting; the same request may work later."""

    def __init__(self, orig: BaseException) -> None:
        super().__init__(error_message(orig))
        self.orig = orig


class ConnectionLost(DatabaseUnavailable):
    """There is no connection, or no longer: other statements will fail as this one did."""


class DatabaseReadOnly(DatabaseUnavailable):
    """The database takes no changes: it is a standby, or someone has made it read-only."""

    def __str__(self) -> str:
        return f"it is read-only ({super().__str__()})"


@contextmanager
def translate_connection_errors() -> Iterator[None]:
    """Tell every failure to get a connection as `ConnectionLost`."""
    try:
        yield
    except _NOT_CONNECTED as error:
        raise ConnectionLost(error) from error


@contextmanager
def translate_statement_errors() -> Iterator[None]:
    """Tell failures of statements that are not the statement's fault as `DatabaseUnavailable`."""
    try:
        yield
    except DBAPIError as error:
        if error.connection_invalidated:
            raise ConnectionLost(error) from error
        if getattr(error.orig, "sqlstate", None) == _READ_ONLY:
            raise DatabaseReadOnly(error) from error
        if _is_passing(error):
            raise DatabaseUnavailable(error) from error
        raise


def _is_passing(error: DBAPIError) -> bool:
    state = getattr(error.orig, "sqlstate", None)
    if state is None:
        # The driver's own: the connection broke or was closed beneath the statement.
        cause = error.orig.__cause__ if error.orig else None
        return isinstance(cause, OSError | asyncpg.InterfaceError | asyncpg.InternalClientError)
    return state.startswith(_CLASSES) or state in _STATES
