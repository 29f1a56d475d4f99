"""Chooses the server of each read, and stores the position of each answer before it is sent.

A replica is read only if it has replayed the position of the request's token. An answer that no
position could be stored for is sent only after reads from replicas are suspended.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Hashable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from typing import Final

from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from app.database.coalescer import Coalescer
from app.database.deadline import request_deadline
from app.database.engine import Database
from app.database.errors import DatabaseUnavailable
from app.database.fair_semaphore import FairSemaphore
from app.database.replicas.position import PRIMARY_POSITION, Position
from app.database.replicas.replica import Replica, ReplicaUse
from app.database.replicas.state import SUSPENSION, PrimaryState, PrimaryWatch
from app.database.replicas.token_positions import TokenPositions
from app.metrics.reads import READS
from app.redis import RedisUnavailable
from app.settings import Settings

_HEXADECIMAL: Final = 16
_primary_position: Final = text(PRIMARY_POSITION)
_take_snapshot: Final = text("SELECT 1")


class PrimaryRequired(Exception):
    """A read must go to the primary."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason: Final = reason
        """The label of the metric."""


class ReadRouter:
    """The servers that the API reads from, and the positions of its tokens."""

    def __init__(self, settings: Settings, primary: Database) -> None:
        self.primary: Final = primary
        self.replica: Final = Replica(settings)
        self.watch: Final = PrimaryWatch(settings)
        self.positions: Final = TokenPositions(settings)
        self._request_timeout = settings.database_request_timeout
        self._primary_position = Coalescer(self._read_primary_position)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Watch the primary and probe the replica for the length of the context."""
        tasks = [asyncio.create_task(work()) for work in (self.watch.watch, self.replica.probe)]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            for task in tasks:
                with suppress(asyncio.CancelledError):
                    await task
            await self.replica.close()
            await self.watch.close()
            await self.positions.aclose()

    async def required_position(self, token: str) -> tuple[PrimaryState, Position]:
        """Return the position that a replica must have replayed; raises PrimaryRequired."""
        state = self.watch.state
        if state is None:
            raise PrimaryRequired("primary_unknown")
        if state.is_suspended:
            raise PrimaryRequired("suspended")
        if not self.replica.is_up:
            raise PrimaryRequired("replica_down")
        try:
            found = await self.positions.find(state.epoch, token)
        except RedisUnavailable:
            raise PrimaryRequired("redis_down") from None
        if found.redis_run != state.redis_run or not found.redis_run:
            raise PrimaryRequired("redis_changed")
        if found.is_changing:
            raise PrimaryRequired("changing")
        if found.position is None or found.position.timeline != state.position.timeline:
            raise PrimaryRequired("no_position")
        return state, found.position

    async def store(self, token: str, shown: Position | None) -> None:
        """Store the position of an answer, before it is sent.

        `shown` is that of a replica; None if the primary was read or changed. Raises
        DatabaseUnavailable if no position could be stored, and replicas not be suspended.
        """
        while True:
            state = await self.watch.current_state()
            try:
                redis_run = await self._raise(state, token, shown)
            except RedisUnavailable:
                return await self.watch.suspend()
            if redis_run != state.redis_run or not redis_run:
                return await self.watch.suspend(redis_run)
            if state.age < SUSPENSION / 2:  # no suspension has begun and ended meanwhile
                return None

    async def begin_change(self, token: str) -> bool:
        """Send the token's reads to the primary until `end_change`.

        Return whether Redis has noted that. Raises DatabaseUnavailable.
        """
        try:
            await self.positions.begin_change(token)
        except RedisUnavailable:
            await self.watch.suspend()
            return False
        return True

    async def end_change(self, token: str, *, is_noted: bool) -> None:
        """Store the position after a change, before its answer. Raises DatabaseUnavailable."""
        await self.store(token, None)
        if is_noted:
            with suppress(RedisUnavailable):
                await self.positions.end_change(token)

    async def _raise(self, state: PrimaryState, token: str, shown: Position | None) -> str:
        if shown is not None:
            raised = await self.positions.raise_to(state.stored_epoch, token, shown, creates=False)
            if raised.exists:
                return raised.redis_run
        position = await self._primary_position(None)
        raised = await self.positions.raise_to(state.stored_epoch, token, position, creates=True)
        return raised.redis_run

    async def _read_primary_position(self, callers: Sequence[None]) -> list[Position]:
        with request_deadline(self._request_timeout, counts_all_time=True):
            try:
                async with self.primary.reading() as connection:
                    row = (await connection.execute(_primary_position)).one()
            except DBAPIError as error:  # it is a standby
                raise DatabaseUnavailable(error) from error
        return [Position(int(row.timeline, _HEXADECIMAL), row.lsn)] * len(callers)


class RequestReads:
    """The reads of one request, which begin with a replica or with the primary.

    Once the primary was read, all further reads of the request go there.
    """

    def __init__(self, router: ReadRouter) -> None:
        self._router = router
        self._primary = router.primary
        self._token = ""
        self._required: tuple[PrimaryState, Position] | None = None
        self._is_decided = False
        self._reads_primary = False
        """Whether an answer may show the primary."""
        self._shown: Position | None = None
        """The last position of a replica that an answer may show."""

    @property
    def streams(self) -> FairSemaphore:
        """Those of the process, whatever the server."""
        return self._primary.streams

    def set_token(self, token: str) -> None:
        """Say whose request it is; a request without a token reads the primary."""
        self._token = token

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncConnection]:
        """Open a connection, as `Database.reading` does."""
        use = await self._open_replica(self._router.replica.reading)
        if use is None:
            async with self._primary.reading() as connection:
                yield connection
            return
        async with use as connection:
            try:
                yield connection
            except (DatabaseUnavailable, DBAPIError):
                raise
            except Exception:  # also a record that is not found shows the state of the replica
                await self._note_shown(connection)
                raise
            await self._note_shown(connection)

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator[AsyncConnection]:
        """Open a connection, as `Database.snapshot` does."""
        use = await self._open_replica(self._router.replica.snapshot)
        if use is None:
            async with self._primary.snapshot() as connection:
                yield connection
            return
        async with use as connection:
            await connection.execute(_take_snapshot)
            # Now, since the response may begin before the snapshot ends.
            await self._note_shown(connection)
            yield connection

    @asynccontextmanager
    async def streaming(self, holder: Hashable = None) -> AsyncIterator[AsyncConnection]:
        """Open a connection, as `Database.streaming` does."""
        async with self._primary.stream_slot(holder), self.snapshot() as connection:
            yield connection

    def rendering(self, holder: Hashable) -> AbstractAsyncContextManager[None]:
        """Wait for a slot, as `Database.rendering` does."""
        return self._primary.rendering(holder)

    def use_primary(self) -> bool:
        """Read from the primary from now on; return whether a replica was read until now."""
        read_replica = not self._reads_primary and self._is_decided
        self._turn_to_primary("replica_failed")
        return read_replica

    async def settle(self) -> None:
        """Store the position of what was read, before the response starts.

        Raises DatabaseUnavailable.
        """
        if not self._token or not self._is_decided:
            return
        if self._reads_primary:
            await self._router.store(self._token, None)
        elif self._shown is not None and self._required is not None:
            _, known = self._required
            if known.joined(self._shown) != known:
                await self._router.store(self._token, self._shown)

    async def _open_replica(self, start: Callable[[], ReplicaUse]) -> ReplicaUse | None:
        """Return an open connection to a replica that may be read; None if the primary must be."""
        if not self._is_decided:
            await self._decide()
        if self._reads_primary or self._required is None:
            return None
        state, required = self._required
        if self._shown is not None:
            required = required.joined(self._shown)
        required = required.joined(self._router.watch.oldest_position)
        use = start()
        try:
            connection = await use.open()
            try:
                replica = self._router.replica
                has_replayed = await replica.has_replayed(connection, required, state.system)
            except BaseException as error:
                await use.__aexit__(type(error), error, error.__traceback__)
                raise
        except DatabaseUnavailable:
            self._turn_to_primary("replica_failed")
            return None
        if not has_replayed:
            await use.__aexit__(None, None, None)
            self._turn_to_primary("behind")
            return None
        READS.labels("replica", "replayed").inc()
        return use

    async def _note_shown(self, connection: AsyncConnection) -> None:
        shown = await self._router.replica.shown_position(connection)
        self._shown = shown if self._shown is None else self._shown.joined(shown)

    async def _decide(self) -> None:
        try:
            if not self._token:
                raise PrimaryRequired("no_token")
            self._required = await self._router.required_position(self._token)
        except PrimaryRequired as required:
            self._turn_to_primary(required.reason)
        self._is_decided = True

    def _turn_to_primary(self, reason: str) -> None:
        if not self._reads_primary:
            self._is_decided = self._reads_primary = True
            READS.labels("primary", reason).inc()
