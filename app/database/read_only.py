"""Detection and replacement of read-only sessions.

A session that started while the database was read-only stays read-only. A session with a standby
stays there after the address points to the new primary. So the pool replaces both. PostgreSQL
reports the two settings of each session (`default_transaction_read_only`, `in_hot_standby`)
whenever they change, so that reading them costs no round trip.
"""

from time import monotonic
from typing import Any, Final

from sqlalchemy import Engine, event, text
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.ext.asyncio import AsyncConnection

REPLACE_AFTER: Final = 2.0
"""Seconds after its first use until a read-only session is replaced at its next use.

This limits reconnecting while the database stays read-only: to one new connection per interval for
each connection of the pool.
"""
_REPORTED_SETTINGS: Final = ("default_transaction_read_only", "in_hot_standby")
_USED_SINCE: Final = "used_since"

_state: Final = text(
    "SELECT current_setting('transaction_read_only')::boolean, pg_is_in_recovery()"
)


async def read_only_reason(connection: AsyncConnection) -> str:
    """Return why the database is read-only, as text for a person; empty if it accepts writes."""
    read_only, is_standby = (await connection.execute(_state)).one()
    if is_standby:
        return "it is a standby"
    return "default_transaction_read_only is on" if read_only else ""


def replace_read_only_sessions(engine: Engine) -> None:
    """Make the pool replace read-only sessions that are older than `REPLACE_AFTER`."""

    def check(connection: Any, record: Any, _proxy: Any) -> None:
        now = monotonic()
        # Counted from the first use: a session that was just opened is never replaced.
        since = record.info.setdefault(_USED_SINCE, now)
        settings = connection.driver_connection.get_settings()
        is_read_only = any(getattr(settings, name, "off") == "on" for name in _REPORTED_SETTINGS)
        if is_read_only and now - since > REPLACE_AFTER:
            raise DisconnectionError("the session is read-only")

    event.listen(engine, "checkout", check)
