"""Sessions in which the database takes no writes, and what lets writes come back by themselves.

A session that began while the database was read-only stays so when it no longer is. One that
reached a standby stays there when the address leads to the new primary. So neither is kept.
PostgreSQL tells both of each session as they change (`default_transaction_read_only`,
`in_hot_standby`), so that to look costs no round trip.
"""

from time import monotonic
from typing import Any, Final

from sqlalchemy import Engine, event, text
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.ext.asyncio import AsyncConnection

REPLACE_AFTER: Final = 2.0
"""Seconds after which a read-only session is replaced by a new one when it is next needed.

While the database stays read-only, reads open no more connections than one in so many seconds for
each place of the pool.
"""
_TELLS_OF_IT: Final = ("default_transaction_read_only", "in_hot_standby")
_USED_SINCE: Final = "used_since"

_state: Final = text(
    "SELECT current_setting('transaction_read_only')::boolean, pg_is_in_recovery()"
)


async def read_only_reason(connection: AsyncConnection) -> str:
    """Return why the database takes no writes, in words for a person; empty where it does."""
    read_only, is_standby = (await connection.execute(_state)).one()
    if is_standby:
        return "it is a standby"
    return "default_transaction_read_only is on" if read_only else ""


def replace_read_only_sessions(engine: Engine) -> None:
    """Let the pool open a new session instead of one that takes no writes, and is no longer new."""

    def look(connection: Any, record: Any, _proxy: Any) -> None:
        now = monotonic()
        # From its first use on: a session that was just opened is never replaced.
        since = record.info.setdefault(_USED_SINCE, now)
        told = connection.driver_connection.get_settings()
        is_read_only = any(getattr(told, name, "off") == "on" for name in _TELLS_OF_IT)
        if is_read_only and now - since > REPLACE_AFTER:
            raise DisconnectionError("the session is read-only")

    event.listen(engine, "checkout", look)
