"""Tokens: create, list and revoke them. Only their digests are stored."""

import secrets
from collections.abc import Sequence
from datetime import timedelta
from hashlib import sha256
from uuid import UUID

from sqlalchemy import RowMapping, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from app import clock
from app.identity.models import Token, User


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
    revoked = await connection.execute(
        update(Token)
        .where(Token.uuid == uuid, Token.revoked_at.is_(None))
        .values(revoked_at=clock.now())
    )
    return revoked.rowcount == 1


async def revoke_named(connection: AsyncConnection, name: str) -> None:
    """Revoke all tokens with this name; every process refuses them within five seconds."""
    await connection.execute(
        update(Token)
        .where(Token.name == name, Token.revoked_at.is_(None))
        .values(revoked_at=clock.now())
    )


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
