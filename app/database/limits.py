"""How long PostgreSQL lets a session work, wait for a lock, and hold a transaction open idly."""

from typing import Final

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection

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


def limits(settings: DatabaseSettings) -> dict[str, str]:
    """Return PostgreSQL's settings for the sessions of the service, by name."""
    return {
        _STATEMENT: f"{settings.database_statement_timeout}s",
        _LOCK: f"{settings.database_lock_timeout}s",
        _IDLE: f"{IDLE_SECONDS}s",
    }


async def lift(connection: AsyncConnection) -> None:
    """Let the transaction take its time, as whoever moves a whole database must.

    It waits for locks as long as it takes, too: whoever else holds one has limits, and to give up
    would throw the work of an hour away.
    """
    lifted = (func.set_config(name, "0", True) for name in (_STATEMENT, _LOCK, _IDLE))
    await connection.execute(select(*lifted))
