"""Errors that mean that the database cannot answer now, although the request was valid."""

import asyncpg  # type: ignore[import-untyped]  # it has no types
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from app.logging import error_message

_TEMPORARY_CLASSES = ("08", "53", "57", "58")
"""SQLSTATE classes: connection exception, insufficient resources, operator intervention (which
includes the statement timeout), system error such as of the disk."""
_TEMPORARY_STATES = ("40001", "40P01", "55P03", "25P03", "25P04")
"""Serialization failure, deadlock, lock timeout, idle-in-transaction and transaction timeout."""
_READ_ONLY = "25006"
CONNECTION_ERRORS = (
    OSError,
    PoolTimeout,
    DBAPIError,
    asyncpg.PostgresError,
    # The driver's own: no host matches `target_session_attrs`.
    asyncpg.InternalClientError,
    asyncpg.InterfaceError,
)
"""The errors of a failure to connect."""


class DatabaseUnavailable(SQLAlchemyError):
    """The database is down, full, too slow or restarting; the same request may succeed later."""

    def __init__(self, orig: BaseException) -> None:
        super().__init__(error_message(orig))
        self.orig = orig


class ConnectionLost(DatabaseUnavailable):
    """No connection could be made, or it was lost; other statements will fail, too."""


class NoMatchingHost(ConnectionLost):
    """Hosts of the database answered, but none has the required role: usually none is a primary."""


class DatabaseReadOnly(DatabaseUnavailable):
    """The database is read-only: it is a standby, or an operator has made it so."""

    def __str__(self) -> str:
        return f"it is read-only ({super().__str__()})"


def connection_error(error: BaseException) -> ConnectionLost:
    """Return the error to raise instead of one of `CONNECTION_ERRORS`."""
    cause = _driver_error(error) if isinstance(error, DBAPIError) else error
    if isinstance(cause, asyncpg.TargetServerAttributeNotMatched):
        return NoMatchingHost(error)
    return ConnectionLost(error)


def unavailable_error(error: DBAPIError) -> DatabaseUnavailable | None:
    """Return the error to raise instead of a statement's; None if the statement is at fault."""
    if error.connection_invalidated:
        return ConnectionLost(error)
    if getattr(error.orig, "sqlstate", None) == _READ_ONLY:
        return DatabaseReadOnly(error)
    return DatabaseUnavailable(error) if _is_temporary(error) else None


def _is_temporary(error: DBAPIError) -> bool:
    state = getattr(error.orig, "sqlstate", None)
    cause = _driver_error(error)
    if isinstance(cause, asyncpg.InvalidCachedStatementError):
        # The type of a column has changed. The next execution prepares the statement again.
        return True
    if state is None:
        # An error of the driver: the connection broke or was closed during the statement.
        return isinstance(cause, OSError | asyncpg.InterfaceError | asyncpg.InternalClientError)
    return state.startswith(_TEMPORARY_CLASSES) or state in _TEMPORARY_STATES


def _driver_error(error: DBAPIError) -> BaseException | None:
    """Return the driver's own error, which SQLAlchemy wraps twice."""
    return error.orig and (error.orig.__cause__ or error.orig)
