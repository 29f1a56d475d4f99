"""The clock of the database server, by which leases and due times go.

Hosts have clocks of their own, which may differ by minutes. What several processes agree upon, such
as until when one of them holds a claim, is written and compared by the one clock that they share.
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
    """Return the server's time at the beginning of the statement, as SQL.

    Where a test has stopped our clock, the server's stands at the same moment.
    """
    standing = clock.frozen_at()
    if standing is not None:
        return literal(standing, DateTime(timezone=True))
    # One value for the whole statement, so that an index can be searched for it.
    return func.statement_timestamp(type_=DateTime(timezone=True))


def time_between(
    earlier: SQLColumnExpression[Any], later: SQLColumnExpression[Any]
) -> ColumnElement[timedelta]:
    """Return what lies between two moments, as SQL."""
    return type_coerce(later - earlier, Interval())


@dataclass(frozen=True, slots=True)
class ClockOffset:
    """How far this machine's clock and the server's are apart."""

    ahead: timedelta
    """By how much ours is ahead; negative where it is behind."""
    uncertain: timedelta
    """What the answer of the server took: the difference is known to within that."""

    def exceeds(self, limit: timedelta) -> bool:
        """Tell whether it is certainly more than a limit."""
        return abs(self.ahead) > limit + self.uncertain


class ServerClock:
    """How the server's clock runs, as far as this process has looked."""

    def __init__(self) -> None:
        self._monitor = clock.ClockMonitor(clock.MAX_DRIFT)

    @property
    def steady_seconds(self) -> float:
        """For how many seconds it has run evenly.

        Where somebody set it by more than a minute, or another server took over, what was written
        before says little about how long ago that is.
        """
        return self._monitor.steady_seconds

    async def measure(self, connection: AsyncConnection) -> ClockOffset:
        """Look at it; return how far ours is from it."""
        before = clock.now()
        there = (await connection.execute(select(database_now()))).scalar_one()
        after = clock.now()
        self._monitor.observe(there)
        return ClockOffset(before + (after - before) / 2 - there, after - before)
