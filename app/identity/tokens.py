"""Tokens: create, list and revoke them, and find the caller of a token.

Only the digests of tokens are stored. Lookups are cached for some seconds.
"""

import secrets
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Final, NamedTuple
from uuid import UUID

from cachetools import TLRUCache
from sqlalchemy import ColumnElement, RowMapping, bindparam, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from app import clock
from app.database.engine import Database
from app.identity.caller import Caller
from app.identity.models import Token, User

LOOKUP_LIFETIME: Final = 4.0
"""Seconds for which a lookup is valid.

A revoked token must be refused within five seconds; one second is left for requests under way.
"""
MAX_LOOKUPS: Final = 4096
"""Size of the cache; the least recently used token is evicted."""
_NEVER: Final = datetime.max.replace(tzinfo=UTC)

_lookup: Final = (
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
    expires_at: datetime
    """When the token expires."""


TokenCache = TLRUCache[str, TokenLookup]
"""Lookups of valid tokens in one process, by the digest of the token."""


def new_token_cache(maxsize: int = MAX_LOOKUPS) -> TokenCache:
    """Return an empty cache; its entries expire `LOOKUP_LIFETIME` after the lookup began."""
    return TLRUCache(
        maxsize, lambda _, found, __: found.started_at + LOOKUP_LIFETIME, clock.monotonic
    )


def token_digest(key: str) -> str:
    """Return the SHA-256 digest of a key, as 64 hex digits."""
    return sha256(key.encode()).hexdigest()


async def create(
    connection: AsyncConnection, user_id: int, *, name: str, lifetime: timedelta | None
) -> str:
    """Insert a token of a user and return its key, which cannot be shown again.

    A token without a `lifetime` never expires.
    """
    # 160 random bits cannot be guessed, so the digest needs neither salt nor stretching.
    key = secrets.token_hex(20)
    now = clock.now()
    await connection.execute(
        insert(Token).values(
            user_id=user_id,
            digest=token_digest(key),
            name=name,
            created_at=now,
            expires_at=None if lifetime is None else now + lifetime,
        )
    )
    return key


async def revoke(connection: AsyncConnection, uuid: UUID) -> bool:
    """Revoke a token; every process refuses it within five seconds.

    Return False if it does not exist or was already revoked.
    """
    return await _revoke(connection, Token.uuid == uuid) == 1


async def revoke_named(connection: AsyncConnection, name: str) -> None:
    """Revoke all tokens with this name; every process refuses them within five seconds."""
    await _revoke(connection, Token.name == name)


async def _revoke(connection: AsyncConnection, condition: ColumnElement[bool]) -> int:
    statement = update(Token).where(condition, Token.revoked_at.is_(None))
    return (await connection.execute(statement.values(revoked_at=clock.now()))).rowcount


async def find_all(
    connection: AsyncConnection, username: str | None = None
) -> Sequence[RowMapping]:
    """Return the tokens of one user, or of all users, newest first."""
    statement = (
        select(
            Token.uuid,
            User.username,
            User.is_active,
            Token.name,
            Token.created_at,
            Token.expires_at,
            Token.revoked_at,
        )
        .join(User, User.id == Token.user_id)
        .order_by(Token.created_at.desc(), Token.id.desc())
    )
    if username is not None:
        statement = statement.where(User.username == username)
    return (await connection.execute(statement)).mappings().all()


async def find_caller(database: Database, cache: TokenCache, digest: str) -> Caller:
    """Return the user of the token with this digest. Raises `InvalidToken`."""
    found = cache.get(digest)
    if found is None:
        found = cache[digest] = await _look_up(database, digest)
    if found.expires_at <= clock.now():
        raise InvalidToken("Token has expired.")
    return found.caller


async def _look_up(database: Database, digest: str) -> TokenLookup:
    started_at = clock.monotonic()
    # The connection is released at once: a request that changes something opens a transaction,
    # and must not hold one connection while it waits for another.
    async with database.reading() as connection:
        row = (await connection.execute(_lookup, {"digest": digest})).one_or_none()
    if row is None or (row.revoked_at or _NEVER) <= clock.now():
        raise InvalidToken("Invalid token.")
    if not row.is_active:
        raise InvalidToken("User inactive or deleted.")
    caller = Caller(row.id, row.uuid, row.username, row.token, row.is_staff, row.is_support)
    return TokenLookup(started_at, caller, row.expires_at or _NEVER)
