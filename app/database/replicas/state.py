"""The state that all processes share through the primary: whether positions in Redis are complete.

A process that cannot store the position of an answer suspends reads from replicas before it sends
the answer. Processes look at the state again and again, and read replicas only for `LEASE` seconds
after they began to look. A process that suspends waits for that long.
"""

import asyncio
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from time import monotonic
from typing import Final, NamedTuple

from sqlalchemy import BigInteger, CheckConstraint, DateTime, Text, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Mapped, mapped_column

from app.database.base import Base
from app.database.coalescer import Coalescer
from app.database.engine import Database
from app.database.errors import ConnectionLost, DatabaseUnavailable
from app.database.replicas.position import PRIMARY_POSITION, Position
from app.settings import Settings

LEASE: Final = 1.0
"""Seconds for which a process relies on the state that it read."""
POLL_INTERVAL: Final = 0.3
READ_TIMEOUT: Final = 2.0
"""Seconds that reading the state may take."""
SUSPENSION: Final = 8.0
"""Seconds for which a process suspends reads from replicas; it renews that while it must.

The process itself counts on `READ_TIMEOUT` less: another one may know the end that much earlier.
"""
_RENEWED_AT: Final = 2.5
_HEXADECIMAL: Final = 16

_read_state: Final = text(f"""
SELECT position.timeline, position.lsn, server.system_identifier AS system,
       coalesce(state.epoch, 0) AS epoch, coalesce(state.redis_run, '') AS redis_run,
       coalesce(extract(epoch FROM state.suspended_until - statement_timestamp()), 0)::float8
           AS suspended_for
FROM ({PRIMARY_POSITION}) AS position CROSS JOIN pg_control_system() AS server
LEFT JOIN replica_reads AS state ON state.id = 1
""")  # noqa: S608 - made of constants
_suspend: Final = text("""
INSERT INTO replica_reads AS state (id, epoch, redis_run, suspended_until)
VALUES (1, 1, :redis_run, statement_timestamp() + make_interval(secs => :seconds))
ON CONFLICT (id) DO UPDATE SET
    epoch = state.epoch + 1,
    redis_run = coalesce(nullif(excluded.redis_run, ''), state.redis_run),
    suspended_until = greatest(state.suspended_until, excluded.suspended_until)
""")


class ReplicaReads(Base):
    """Whether replicas may be read now, and which positions in Redis count: one row at most."""

    __tablename__ = "replica_reads"
    __table_args__ = (CheckConstraint("id = 1", name="one_row"),)

    id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    epoch: Mapped[int] = mapped_column(BigInteger)
    """Raised by each suspension. Positions of an earlier epoch are incomplete."""
    redis_run: Mapped[str] = mapped_column(Text)
    """The run of the Redis server that has the positions: one that was started again, or another
    one, may have old positions."""
    suspended_until: Mapped[datetime] = mapped_column(DateTime(timezone=True))


class PrimaryState(NamedTuple):
    """The state, and the position of the primary, as a process read them."""

    read_at: float
    """When the statement began, by the monotonic clock."""
    position: Position
    system: int
    """The identifier of the database cluster, which its standbys share."""
    epoch: int
    redis_run: str
    suspended_until: float
    """By the monotonic clock: at the latest then the suspension ends."""

    @property
    def age(self) -> float:
        """Seconds since it was read."""
        return monotonic() - self.read_at

    @property
    def is_current(self) -> bool:
        """Whether a process may still rely on the state."""
        return self.age < LEASE

    @property
    def is_suspended(self) -> bool:
        """Whether no replica may be read."""
        return monotonic() < self.suspended_until

    @property
    def stored_epoch(self) -> int:
        """The epoch under which positions are stored.

        During a suspension, processes that do not know of it yet read those of the epoch before.
        Positions of the new epoch begin after its end, when no answer without a position is
        possible any more.
        """
        return self.epoch - 1 if self.is_suspended else self.epoch


class PrimaryWatch:
    """Reads the state again and again, on a connection that no request waits for."""

    def __init__(self, settings: Settings) -> None:
        self._database = Database(settings.model_copy(update={"database_pool_size": 1}))
        self._max_lag = settings.database_read_max_lag
        self._state: PrimaryState | None = None
        self._history: deque[PrimaryState] = deque()
        self._refresh = Coalescer(self._read_for_all)
        self._suspending = asyncio.Lock()
        self._suspended_until = 0.0
        """When this process's own suspension ends, which every process knows of."""

    @property
    def state(self) -> PrimaryState | None:
        """The state; None if it is too old to rely on."""
        return self._state if self._state is not None and self._state.is_current else None

    async def current_state(self) -> PrimaryState:
        """Return the state, read again if it is too old to rely on. Raises DatabaseUnavailable."""
        return self.state or await self._refresh(None)

    @property
    def oldest_position(self) -> Position:
        """The position of the primary `DATABASE_READ_MAX_LAG` seconds ago.

        A replica that has not replayed it lags. In the first seconds it is the first that was read.
        """
        return self._history[0].position

    async def watch(self) -> None:
        """Read the state again and again, until cancelled."""
        while True:
            with suppress(DatabaseUnavailable):  # the state becomes too old; requests log the error
                await self._refresh(None)
            await asyncio.sleep(POLL_INTERVAL)

    async def suspend(self, redis_run: str = "") -> None:
        """Suspend reads from replicas; return when every process knows.

        From then on, for more than a second, answers need no position. `redis_run` is the run of
        the Redis server to use from now on, if known. Raises DatabaseUnavailable.
        """
        async with self._suspending:
            left = self._suspended_until - monotonic()
            if left > _RENEWED_AT:
                return
            started = monotonic()
            values = {"redis_run": redis_run, "seconds": SUSPENSION}
            try:
                async with self._database.autocommit() as connection:
                    await connection.execute(_suspend, values)
            except DBAPIError as error:
                raise DatabaseUnavailable(error) from error
            await self._refresh(None)
            if left <= 0:
                await asyncio.sleep(LEASE)
            self._suspended_until = started + SUSPENSION - READ_TIMEOUT

    async def close(self) -> None:
        """Close the connection."""
        await self._database.close()

    async def _read_for_all(self, callers: Sequence[None]) -> list[PrimaryState]:
        state = await self._read()
        if self._state is not None and self._state.position.timeline != state.position.timeline:
            self._history.clear()
        self._state = state
        self._history.append(state)
        while len(self._history) > 1 and self._history[1].read_at <= monotonic() - self._max_lag:
            self._history.popleft()
        return [state] * len(callers)

    async def _read(self) -> PrimaryState:
        read_at = monotonic()
        try:
            async with asyncio.timeout(READ_TIMEOUT), self._database.reading() as connection:
                row = (await connection.execute(_read_state)).one()
        except TimeoutError as error:
            raise ConnectionLost(error) from error
        except DBAPIError as error:  # it is a standby, or its functions are not permitted
            raise DatabaseUnavailable(error) from error
        return PrimaryState(
            read_at,
            Position(int(row.timeline, _HEXADECIMAL), row.lsn),
            row.system,
            row.epoch,
            row.redis_run,
            read_at + row.suspended_for,
        )
