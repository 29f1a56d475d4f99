"""Statements for stored responses. Their age is measured by the database server's clock."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, NamedTuple

from sqlalchemy import ColumnElement, and_, delete, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from app.database.server_clock import database_now
from app.idempotency.errors import KeyInUse, KeyReused
from app.idempotency.models import StoredResponse
from app.identity.models import User

LIFETIME: Final = timedelta(hours=24)
"""How long a stored response is replayed."""


@dataclass(frozen=True, slots=True)
class IdempotencyKey:
    """A key of one user. Two users may use the same text independently."""

    user_id: int
    text: str


class ResponseData(NamedTuple):
    """The content of a response."""

    body: bytes
    is_packed: bool
    """Whether the body is compressed."""
    status: int
    headers: Mapping[str, str]


async def lock_key(connection: AsyncConnection, key: IdempotencyKey) -> None:
    """Lock the key until the caller's transaction ends. Raises `KeyInUse`.

    The advisory lock belongs to the transaction, so a process that dies releases it.

    The row that is stored at the end references the user, whom an import may have locked while it
    waits for an invoice. So the user is locked first, before any invoice, as imports do.
    """
    name = f"idempotency:{key.user_id}:{key.text}"
    statement = (
        select(func.pg_try_advisory_xact_lock(func.hashtextextended(name, 0)))
        .select_from(User)
        .where(User.id == key.user_id)
        .with_for_update(read=True, key_share=True)
    )
    if not (await connection.execute(statement)).scalar_one():
        raise KeyInUse


async def find_response(
    connection: AsyncConnection, key: IdempotencyKey, request_digest: bytes
) -> ResponseData | None:
    """Return the stored response to the request, or None if there is none yet.

    Raises `KeyReused` if the key was used with a request of another digest.
    """
    statement = select(
        StoredResponse.request_digest,
        StoredResponse.body,
        StoredResponse.is_packed,
        StoredResponse.status,
        StoredResponse.headers,
    ).where(_has_key(key), StoredResponse.created_at > database_now() - LIFETIME)
    stored = (await connection.execute(statement)).one_or_none()
    if stored is None:
        return None
    if stored.request_digest != request_digest:
        raise KeyReused
    return ResponseData(stored.body, stored.is_packed, stored.status, stored.headers)


async def store_response(
    connection: AsyncConnection,
    key: IdempotencyKey,
    request_digest: bytes,
    response: ResponseData,
) -> None:
    """Store the response in the transaction of the change that it reports."""
    values = {
        **response._asdict(),
        "headers": dict(response.headers),
        "request_digest": request_digest,
        "created_at": database_now(),
    }
    statement = insert(StoredResponse).values(user_id=key.user_id, key=key.text, **values)
    # A conflicting row has expired, else it would have been found.
    await connection.execute(
        statement.on_conflict_do_update(
            index_elements=[StoredResponse.user_id, StoredResponse.key], set_=values
        )
    )


async def delete_expired(connection: AsyncConnection, limit: int) -> int:
    """Delete at most `limit` responses older than `LIFETIME`. Return the number deleted."""
    old = (
        select(StoredResponse.user_id, StoredResponse.key)
        .where(StoredResponse.created_at < database_now() - LIFETIME)
        .limit(limit)
        .with_for_update(skip_locked=True)
        .cte("old")
    )
    statement = delete(StoredResponse).where(
        StoredResponse.user_id == old.c.user_id, StoredResponse.key == old.c.key
    )
    return (await connection.execute(statement)).rowcount


def _has_key(key: IdempotencyKey) -> ColumnElement[bool]:
    return and_(StoredResponse.user_id == key.user_id, StoredResponse.key == key.text)
