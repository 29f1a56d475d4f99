"""Tokens: made, shown once, kept as digests, revoked."""

import secrets
from datetime import timedelta
from hashlib import sha256
from uuid import UUID

from sqlalchemy import insert, update
from sqlalchemy.ext.asyncio import AsyncConnection

from app import clock
from app.identity.models import Token


def digest(key: str) -> str:
    """Return what is kept of a key: its SHA-256 digest as 64 hex digits."""
    return sha256(key.encode()).hexdigest()


async def create(
    connection: AsyncConnection, user_id: int, *, name: str, lifetime: timedelta | None
) -> str:
    """Make a token of a user and return its key, which cannot be shown again.

    Without a `lifetime` it never expires.
    """
    # 160 random bits are beyond guessing, so that a digest without salt or stretching suffices.
    key = secrets.token_hex(20)
    now = clock.now()
    await connection.execute(
        insert(Token).values(
            user_id=user_id,
            digest=digest(key),
            name=name,
            created_at=now,
            expires_at=None if lifetime is None else now + lifetime,
        )
    )
    return key


async def revoke(connection: AsyncConnection, uuid: UUID) -> bool:
    """Make a token useless, within five seconds everywhere.

    Tell whether it is known and was not revoked before.
    """
    revoked = await connection.execute(
        update(Token)
        .where(Token.uuid == uuid, Token.revoked_at.is_(None))
        .values(revoked_at=clock.now())
    )
    return revoked.rowcount == 1


async def revoke_named(connection: AsyncConnection, name: str) -> None:
    """Make every token of that name useless, within five seconds everywhere."""
    await connection.execute(
        update(Token)
        .where(Token.name == name, Token.revoked_at.is_(None))
        .values(revoked_at=clock.now())
    )
