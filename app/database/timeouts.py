"""PostgreSQL's timeouts for statements, locks and idle transactions."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from sqlalchemy import Connection, Engine, event, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from app.logging import get_logger
from app.settings import DatabaseSettings

AUTOCOMMIT: Final = "AUTOCOMMIT"
"""The isolation level of statements without a transaction."""
IDLE_SECONDS: Final = 60
"""Seconds after which PostgreSQL ends an idle transaction and releases its locks.

Twice the time that a client may take to read a part of a streamed response. It ends the
transactions of a process that hangs, or of a machine that disappeared.
"""
_STATEMENT, _LOCK, _IDLE = (
    "statement_timeout",
    "lock_timeout",
    "idle_in_transaction_session_timeout",
)
_READ_STATEMENT_TIMEOUT = f"SELECT setting FROM pg_settings WHERE name = '{_STATEMENT}'"  # noqa: S608 - a constant

_logger = get_logger(__name__)


def session_timeouts(settings: DatabaseSettings) -> dict[str, str]:
    """Return the timeouts of the service's sessions, by the name of the PostgreSQL setting."""
    return {
        _STATEMENT: f"{settings.database_statement_timeout}s",
        _LOCK: f"{settings.database_lock_timeout}s",
        _IDLE: f"{IDLE_SECONDS}s",
    }


async def disable_timeouts(connection: AsyncConnection) -> None:
    """Disable all three timeouts for the rest of the transaction, for work on a whole database.

    Locks are awaited without limit, too: their holders have timeouts, and giving up could waste an
    hour of work.
    """
    disabled = (func.set_config(name, "0", True) for name in (_STATEMENT, _LOCK, _IDLE))
    await connection.execute(select(*disabled))


def set_timeouts_in_transactions(engine: Engine, values: Mapping[str, str]) -> None:
    """Set the timeouts at the start of each transaction, since a pooler shares the session."""
    statement = select(*(func.set_config(name, value, True) for name, value in values.items()))

    def begin(connection: Connection) -> None:
        if connection.get_execution_options().get("isolation_level") != AUTOCOMMIT:
            connection.execute(statement)

    event.listen(engine, "begin", begin)


def warn_if_timeouts_ignored(engine: Engine, settings: DatabaseSettings) -> None:
    """Log a warning at the first connection if a pooler dropped the timeouts."""
    expected = settings.database_statement_timeout * 1000

    def check(milliseconds: int) -> None:
        if milliseconds != expected:
            _logger.warning(
                "the database ignores DATABASE_STATEMENT_TIMEOUT;"
                " behind a pooler, set DATABASE_PGBOUNCER=true",
                expected=expected,
                actual=milliseconds,
            )

    on_first_timeout(engine, check)


def on_first_timeout(engine: Engine, handle: Callable[[int], None]) -> None:
    """Pass on the statement timeout of the first session, in milliseconds; 0 is none."""

    def read(connection: Any, _record: object) -> None:
        cursor = connection.cursor()
        cursor.execute(_READ_STATEMENT_TIMEOUT)
        [milliseconds] = cursor.fetchone()
        cursor.close()
        connection.rollback()
        handle(int(milliseconds))

    event.listen(engine, "first_connect", read)
