"""Find the user of a token in the database, or in a cache of the lookups of the last seconds."""

from datetime import datetime
from typing import Final, NamedTuple

from cachetools import TLRUCache
from sqlalchemy import bindparam, select

from app import clock
from app.database.engine import Database
from app.identity.caller import Caller
from app.identity.models import Token, User

LIFETIME: Final = 4.0
"""Seconds for which a lookup is valid.

A revoked token must be refused within five seconds; one second is left for requests under way.
"""
MAX_TOKENS: Final = 4096
"""Size of the cache; the least recently used token is evicted."""

_statement: Final = (
    select(
        User.id,
        User.uuid,
        User.username,
        Token.name.label("token"),
        User.is_staff,
        User.is_support,
        User.is_active,
        Token.expires_at,
        Token.revoked_at,
    )
    .join(User, User.id == Token.user_id)
    .where(Token.digest == bindparam("digest"))
)


class InvalidToken(Exception):
    """The token cannot be used; the message is part of the documented API."""


class TokenLookup(NamedTuple):
    """The result of a lookup."""

    started_at: float
    """By the monotonic clock."""
    caller: Caller
    """Without an address."""
    expires_at: datetime | None
    """When the token expires."""


TokenCache = TLRUCache[str, TokenLookup]
"""Lookups of valid tokens in one process, by the digest of the token."""


def new_cache(maxsize: int = MAX_TOKENS) -> TokenCache:
    """Return an empty cache; its entries expire `LIFETIME` after the lookup began."""
    return TLRUCache(maxsize, lambda _, found, __: found.started_at + LIFETIME, clock.monotonic)


async def find_caller(database: Database, cache: TokenCache, digest: str) -> Caller:
    """Return the user of the token with this digest. Raises `InvalidToken`."""
    found = cache.get(digest)
    if found is None:
        found = cache[digest] = await _look_up(database, digest)
    if _is_past(found.expires_at):
        raise InvalidToken("Token has expired.")
    return found.caller


async def _look_up(database: Database, digest: str) -> TokenLookup:
    started_at = clock.monotonic()
    # The connection is released at once: a request that changes something opens a transaction,
    # and must not hold one connection while it waits for another.
    async with database.reading() as connection:
        row = (await connection.execute(_statement, {"digest": digest})).one_or_none()
    if row is None or _is_past(row.revoked_at):
        raise InvalidToken("Invalid token.")
    if not row.is_active:
        raise InvalidToken("User inactive or deleted.")
    caller = Caller(row.id, row.uuid, row.username, row.token, row.is_staff, row.is_support)
    return TokenLookup(started_at, caller, row.expires_at)


def _is_past(moment: datetime | None) -> bool:
    return moment is not None and moment <= clock.now()
