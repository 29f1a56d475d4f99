"""The position of each token in Redis: of its last change, and of the last answer that it had."""

from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Final, NamedTuple

from redis.exceptions import RedisError

from app.database.coalescer import Coalescer
from app.database.replicas.position import DIGITS, SEVERAL, Position
from app.logging import get_logger
from app.redis import CircuitBreaker, connection_pool
from app.settings import Settings

TIMEOUT: Final = 0.3
"""Seconds that one exchange with Redis may take."""
_LIFETIME: Final = 3600
"""Seconds after which a position expires: the token's next read goes to the primary."""
_CHANGE_LIFETIME: Final = 120
"""Seconds for which a change counts as unfinished if its process dies."""
_RUN: Final = b"run_id:"
_RAISE: Final = f"""
local raised = {{}}
for i, key in ipairs(KEYS) do
    local position, creates = ARGV[2 * i], ARGV[2 * i + 1]
    local lsn, shown_by = position:sub(1, {DIGITS}), position:sub({DIGITS + 1})
    local old = redis.call('GET', key)
    local is_later = not old or old:sub(1, {DIGITS}) < lsn
    if old and old:sub(1, {DIGITS}) == lsn then
        local earlier = old:sub({DIGITS + 1})
        if shown_by == '' then
            shown_by = earlier
        elseif earlier ~= '' and earlier ~= shown_by then
            shown_by = '{SEVERAL}'
        end
        is_later = shown_by ~= earlier
    end
    raised[i] = (old or creates == '1') and 1 or 0
    if raised[i] == 1 and is_later then
        redis.call('SET', key, lsn .. shown_by, 'EX', ARGV[1])
    end
end
return raised
"""
"""Joins each position with the old one, as `Position.joined`; creates one only if told so."""
_END_CHANGE: Final = """
if redis.call('DECR', KEYS[1]) <= 0 then redis.call('DEL', KEYS[1]) end
"""

_logger = get_logger(__name__)


class Found(NamedTuple):
    """Redis's answer on a token."""

    redis_run: str
    position: Position | None
    """None if Redis has none."""
    is_changing: bool
    """Whether a change of the token is not finished."""


class Raised(NamedTuple):
    """The result of raising a position."""

    redis_run: str
    exists: bool
    """False if Redis had no position, and none was created."""


class _Raise(NamedTuple):
    epoch: int
    token: str
    position: Position
    creates: bool


class TokenPositions:
    """The positions, for all processes with the same QUEUE_NAME.

    Each method returns the run of the Redis server: a server that was started again, or another
    one, may have old positions. Each raises RedisUnavailable.
    """

    def __init__(self, settings: Settings) -> None:
        self._pool = connection_pool(settings, timeout=TIMEOUT)
        self._prefix = f"{settings.queue_name}:replica-reads"
        self._breaker = CircuitBreaker(
            _logger,
            failed="replicas not read: queue unusable",
            recovered="replicas read again: queue usable",
        )
        self._find = Coalescer(self._find_all)
        self._raise = Coalescer(self._raise_all)

    async def find(self, epoch: int, token: str) -> Found:
        """Return the position of a token."""
        return await self._find((epoch, token))

    async def raise_to(
        self, epoch: int, token: str, position: Position, *, creates: bool
    ) -> Raised:
        """Raise the position of a token; it never sinks.

        Only a position of the primary may create one: it includes all earlier answers.
        """
        return await self._raise(_Raise(epoch, token, position, creates))

    async def begin_change(self, token: str) -> None:
        """Note that a token makes a change, so that its reads go to the primary."""
        key = self._changes_of(token)
        await self._execute(("INCR", key), ("EXPIRE", key, _CHANGE_LIFETIME))

    async def end_change(self, token: str) -> None:
        """Note the end of a change whose position is stored."""
        await self._execute(("EVAL", _END_CHANGE, 1, self._changes_of(token)))

    async def aclose(self) -> None:
        """Close the connections."""
        with suppress(RedisError, OSError, TimeoutError):
            await self._pool.disconnect()

    async def _find_all(self, items: Sequence[tuple[int, str]]) -> list[Found]:
        keys = [
            key
            for epoch, token in items
            for key in (self._position_of(epoch, token), self._changes_of(token))
        ]
        run, [values] = await self._execute(("MGET", *keys))
        return [
            Found(run, Position.decode(position) if position else None, changes is not None)
            for position, changes in zip(values[::2], values[1::2], strict=True)
        ]

    async def _raise_all(self, items: Sequence[_Raise]) -> list[Raised]:
        keys = [self._position_of(item.epoch, item.token) for item in items]
        values = [value for item in items for value in (item.position.encode(), int(item.creates))]
        run, [raised] = await self._execute(("EVAL", _RAISE, len(keys), *keys, _LIFETIME, *values))
        return [Raised(run, bool(exists)) for exists in raised]

    async def _execute(self, *commands: tuple[Any, ...]) -> tuple[str, list[Any]]:
        """Execute commands on one connection; return the server's run and their results."""

        async def execute() -> list[Any]:
            # As a pipeline of the client, which takes several times as long.
            connection = await self._pool.get_connection()
            try:
                packed = connection.pack_commands([("INFO", "server"), *commands])
                await connection.send_packed_command(packed)
                return [await connection.read_response() for _ in range(len(commands) + 1)]
            except BaseException:
                await connection.disconnect()
                raise
            finally:
                await self._pool.release(connection)

        info, *results = await self._breaker.call(execute, TIMEOUT)
        return _run_of(info), results

    def _position_of(self, epoch: int, token: str) -> str:
        return f"{self._prefix}:{epoch}:{token}"

    def _changes_of(self, token: str) -> str:
        return f"{self._prefix}:changes:{token}"


def _run_of(info: bytes) -> str:
    """Return the run of the server that wrote an INFO; empty if it has none."""
    _, _, rest = info.partition(_RUN)
    return rest.split(maxsplit=1)[0].decode() if rest else ""
