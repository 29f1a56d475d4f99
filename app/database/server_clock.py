"""The clock of the database server, which leases and due times use.

The clocks of hosts may differ by minutes. Times on which several processes must agree, such as the
end of a lease, are written and compared with the one clock that they share.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import (
    ColumnElement,
    DateTime,
    Interval,
    SQLColumnExpression,
    func,
    literal,
    select,
    type_coerce,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from app import clock


def database_now() -> ColumnElement[datetime]:
    """Return the server's time at the start of the statement, as SQL.

    While a test has frozen `app.clock`, it is the frozen time.
    """
    frozen = clock.frozen_at()
    if frozen is not None:
        return literal(frozen, DateTime(timezone=True))
    # One value for the whole statement, so that PostgreSQL can use an index.
    return func.statement_timestamp(type_=DateTime(timezone=True))


def time_between(
    earlier: SQLColumnExpression[Any], later: SQLColumnExpression[Any]
) -> ColumnElement[timedelta]:
    """Return the interval between two times, as SQL."""
    return type_coerce(later - earlier, Interval())


@dataclass(frozen=True, slots=True)
class ClockOffset:
    """The difference between this machine's clock and the server's."""

    ahead: timedelta
    """How far this machine's clock is ahead; negative if it is behind."""
    uncertainty: timedelta
    """The round-trip time: the offset is known to within that."""

    def exceeds(self, limit: timedelta) -> bool:
        """Return whether the difference is certainly more than a limit."""
        return abs(self.ahead) > limit + self.uncertainty


class ServerClock:
    """Measures the server's clock, and detects when it was set."""

    def __init__(self) -> None:
        self._monitor = clock.ClockMonitor(clock.MAX_DRIFT)

    @property
    def steady_seconds(self) -> float:
        """Seconds since the clock last jumped by more than a minute.

        After a jump, or after another server took over, earlier timestamps say little about how
        much time has passed since.
        """
        return self._monitor.steady_seconds

    def observe(self, server_time: datetime) -> None:
        """Note the server's time as a statement returned it just now."""
        self._monitor.observe(server_time)

    async def measure(self, connection: AsyncConnection) -> ClockOffset:
        """Read the server's clock; return the offset of ours."""
        before = clock.now()
        server_time = (await connection.execute(select(database_now()))).scalar_one()
        after = clock.now()
        self.observe(server_time)
        return ClockOffset(before + (after - before) / 2 - server_time, after - before)
