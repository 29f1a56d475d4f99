"""How long PostgreSQL lets a session work, wait for a lock, and hold a transaction open idly."""

from collections.abc import Mapping
from typing import Any, Final

from sqlalchemy import Connection, Engine, event, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from app.logging import get_logger
from app.settings import DatabaseSettings

IDLE_SECONDS: Final = 60
"""Seconds after which a transaction in which nothing happens is ended, and its locks with it.

Twice what a client of a streamed answer may take to read a part. It ends the transactions of a
process that stands still, or of a machine that is gone without a word.
"""
_STATEMENT, _LOCK, _IDLE = (
    "statement_timeout",
    "lock_timeout",
    "idle_in_transaction_session_timeout",
)
_KEPT = f"SELECT setting FROM pg_settings WHERE name = '{_STATEMENT}'"  # noqa: S608 - a constant

_logger = get_logger(__name__)


def session_timeouts(settings: DatabaseSettings) -> dict[str, str]:
    """Return PostgreSQL's settings for the sessions of the service, by name."""
    return {
        _STATEMENT: f"{settings.database_statement_timeout}s",
        _LOCK: f"{settings.database_lock_timeout}s",
        _IDLE: f"{IDLE_SECONDS}s",
    }


async def disable_timeouts(connection: AsyncConnection) -> None:
    """Let the transaction take its time, as whoever moves a whole database must.

    It waits for locks as long as it takes, too: whoever else holds one has limits, and to give up
    would throw the work of an hour away.
    """
    lifted = (func.set_config(name, "0", True) for name in (_STATEMENT, _LOCK, _IDLE))
    await connection.execute(select(*lifted))


def set_timeouts_in_transactions(engine: Engine, values: Mapping[str, str]) -> None:
    """Set the limits as each transaction begins: before and after, the session is another's."""
    statement = select(*(func.set_config(name, value, True) for name, value in values.items()))

    def begin(connection: Connection) -> None:
        connection.execute(statement)

    event.listen(engine, "begin", begin)


def warn_if_timeouts_ignored(engine: Engine, settings: DatabaseSettings) -> None:
    """Log a warning with the first connection where something in between dropped the limits."""
    wanted = settings.database_statement_timeout * 1000

    def look(connection: Any, _record: object) -> None:
        cursor = connection.cursor()
        cursor.execute(_KEPT)
        [milliseconds] = cursor.fetchone()
        cursor.close()
        connection.rollback()
        if int(milliseconds) != wanted:
            _logger.warning(
                "the database does not keep DATABASE_STATEMENT_TIMEOUT;"
                " behind a pooler, set DATABASE_PGBOUNCER=true",
                wanted=wanted,
                kept=int(milliseconds),
            )

    event.listen(engine, "first_connect", look)
