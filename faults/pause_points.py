"""Where a statement of the service can be made to stand still, without a word in its code.

A trigger that waits for a lock of ours is put on a table. It is a part of the database of the case
alone, and is gone with the context.
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
_NAME: Final = "a_gate_of_the_faults"  # of the triggers on a table the first, by its name
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
_CLOSE: Final = f"SELECT pg_advisory_lock({_KEY})"
_OPEN: Final = f"SELECT pg_advisory_unlock({_KEY})"
_AT_IT: Final = f"""
SELECT count(*) FROM pg_locks
WHERE locktype = 'advisory' AND classid = 0 AND objid = {_KEY} AND mode = 'ShareLock'
"""
_SECONDS: Final = 60.0


@dataclass(frozen=True)
class PausePoint:
    """A statement on its way: a change of a row, or the commit of it."""

    table: str
    event: str
    """INSERT, UPDATE or DELETE."""
    when: str
    """Which rows, as SQL on OLD and NEW; what is in braces is filled in."""
    at_commit: bool = False

    def __str__(self) -> str:
        commit = "the commit of " if self.at_commit else ""
        return f"{commit}{self.event} of {self.table} where {self.when}"

    @property
    def committed(self) -> "PausePoint":
        """The commit of the change."""
        return replace(self, at_commit=True)

    def of(self, names: Mapping[str, object]) -> "PausePoint":
        """The place for the rows that are meant."""
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
    """A gate that is closed at first: who comes there stands still."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def reached(self) -> None:
        """Wait until somebody stands there; TimeoutError where nobody comes."""
        await until(self._number_at_it, _SECONDS)

    async def open(self) -> None:
        """Let all go on, and wait until whoever stood there has ended its transaction."""
        await self._connection.execute(text(_OPEN))
        await until(self._nobody_at_it, _SECONDS)

    async def _number_at_it(self) -> int:
        number: int = (await self._connection.execute(text(_AT_IT))).scalar_one()
        return number

    async def _nobody_at_it(self) -> bool:
        return not await self._number_at_it()


@asynccontextmanager
async def pause_at(database: Database, place: PausePoint) -> AsyncIterator[Pause]:
    """Put a closed gate at a place; it is open, and taken away, at the end."""
    async with database.reading() as connection:
        await connection.execute(text(_FUNCTION))
        await connection.execute(text(_CLOSE))
        await connection.execute(text(place._trigger))
        gate_ = Pause(connection)
        try:
            yield gate_
        finally:
            await gate_.open()
            await connection.execute(text(f"DROP TRIGGER {_NAME} ON {place.table}"))
