"""Pauses a statement of the service, without a change of its code.

A trigger on a table waits for an advisory lock that the suite holds. It exists only in the database
of the case and is dropped at the end of the context.
"""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from app.database.engine import Database
from tests.support.worker import until

_KEY: Final = 715_517
_NAME: Final = "a_fault_pause_point"  # triggers of a table fire in the order of their names
_FUNCTION: Final = f"""
CREATE OR REPLACE FUNCTION {_NAME}() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock_shared({_KEY});
    IF TG_OP = 'DELETE' THEN
        RETURN OLD;
    END IF;
    RETURN NEW;
END
$$
"""
_LOCK: Final = f"SELECT pg_advisory_lock({_KEY})"
_UNLOCK: Final = f"SELECT pg_advisory_unlock({_KEY})"
_PAUSED: Final = f"""
SELECT count(*) FROM pg_locks
WHERE locktype = 'advisory' AND classid = 0 AND objid = {_KEY} AND mode = 'ShareLock'
    AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""
_SECONDS: Final = 60.0


@dataclass(frozen=True)
class PausePoint:
    """A change of a row, or its commit, at which a transaction is paused."""

    table: str
    event: str
    """INSERT, UPDATE or DELETE."""
    when: str
    """The condition in SQL on OLD and NEW; names in braces are replaced."""
    at_commit: bool = False

    def __str__(self) -> str:
        commit = "the commit of " if self.at_commit else ""
        return f"{commit}{self.event} of {self.table} where {self.when}"

    @property
    def committed(self) -> "PausePoint":
        """The pause point at the commit of the change."""
        return replace(self, at_commit=True)

    def with_names(self, names: Mapping[str, object]) -> "PausePoint":
        """Return the pause point with the names in the condition replaced."""
        return replace(self, when=self.when.format_map(names))

    @property
    def _trigger(self) -> str:
        if self.at_commit:
            kind, timing, deferred = "CONSTRAINT TRIGGER", "AFTER", "DEFERRABLE INITIALLY DEFERRED"
        else:
            kind, timing, deferred = "TRIGGER", "BEFORE", ""
        return (
            f"CREATE {kind} {_NAME} {timing} {self.event} ON {self.table} {deferred}"
            f" FOR EACH ROW WHEN ({self.when}) EXECUTE FUNCTION {_NAME}()"
        )


class Pause:
    """An active pause point: transactions that reach it wait."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def reached(self) -> None:
        """Wait until a transaction is paused; raises TimeoutError."""
        await until(self._count_paused, _SECONDS)

    async def resume(self) -> None:
        """Resume all transactions, and wait until the paused ones have ended."""
        await self._connection.execute(text(_UNLOCK))
        await until(self._none_is_paused, _SECONDS)

    async def _count_paused(self) -> int:
        number: int = (await self._connection.execute(text(_PAUSED))).scalar_one()
        return number

    async def _none_is_paused(self) -> bool:
        return not await self._count_paused()


@asynccontextmanager
async def pause_at(database: Database, point: PausePoint) -> AsyncIterator[Pause]:
    """Activate a pause point for the length of the context."""
    async with database.reading() as connection:
        await connection.execute(text(_FUNCTION))
        await connection.execute(text(_LOCK))
        await connection.execute(text(point._trigger))
        pause = Pause(connection)
        try:
            yield pause
        finally:
            await pause.resume()
            await connection.execute(text(f"DROP TRIGGER {_NAME} ON {point.table}"))
