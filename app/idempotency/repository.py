"""The statements about kept answers; their age goes by the database server's clock."""

from datetime import timedelta

from sqlalchemy import ColumnElement, and_, delete, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from app.api.rendered_response import WrittenAnswer
from app.database.server_clock import database_now
from app.idempotency.keys import LIFE, Key, RequestInProgress, UsedOtherwise
from app.idempotency.models import KeptAnswer
from app.identity.models import User


async def claim(connection: AsyncConnection, key: Key) -> None:
    """Keep others from acting under the key until the caller's transaction ends.

    The claim goes with its transaction, so nobody who died holds one. Raises `RequestInProgress`.

    The answer that is kept at the end names the user, whom an import may hold that waits for an
    invoice. So the user is locked first, before any invoice, as imports do.
    """
    name = f"idempotency:{key.user_id}:{key.text}"
    statement = (
        select(func.pg_try_advisory_xact_lock(func.hashtextextended(name, 0)))
        .select_from(User)
        .where(User.id == key.user_id)
        .with_for_update(read=True, key_share=True)
    )
    if not (await connection.execute(statement)).scalar_one():
        raise RequestInProgress


async def earlier(connection: AsyncConnection, key: Key, request: bytes) -> WrittenAnswer | None:
    """Return the answer that was given under the key to the same request, by its digest.

    Raises `UsedOtherwise` where it was given to another one.
    """
    statement = select(
        KeptAnswer.request_digest,
        KeptAnswer.body,
        KeptAnswer.is_packed,
        KeptAnswer.status,
        KeptAnswer.headers,
    ).where(_is(key), KeptAnswer.created_at > database_now() - LIFE)
    kept = (await connection.execute(statement)).one_or_none()
    if kept is None:
        return None
    if kept.request_digest != request:
        raise UsedOtherwise
    return WrittenAnswer(kept.body, kept.is_packed, kept.status, kept.headers)


async def keep(
    connection: AsyncConnection, key: Key, request: bytes, answer: WrittenAnswer
) -> None:
    """Keep the answer to a request in the transaction of the change that it reports."""
    values = {
        "request_digest": request,
        "status": answer.status,
        "headers": dict(answer.headers),
        "body": answer.body,
        "is_packed": answer.is_packed,
        "created_at": database_now(),
    }
    statement = insert(KeptAnswer).values(user_id=key.user_id, key=key.text, **values)
    # One that is there is too old to be repeated, or it would have been found.
    await connection.execute(
        statement.on_conflict_do_update(
            index_elements=[KeptAnswer.user_id, KeptAnswer.key], set_=values
        )
    )


async def purge(connection: AsyncConnection, *, kept_for: timedelta, limit: int) -> int:
    """Delete at most `limit` answers that were kept for longer than so; return how many."""
    old = (
        select(KeptAnswer.user_id, KeptAnswer.key)
        .where(KeptAnswer.created_at < database_now() - kept_for)
        .limit(limit)
        .with_for_update(skip_locked=True)
        .cte("old")
    )
    statement = delete(KeptAnswer).where(
        KeptAnswer.user_id == old.c.user_id, KeptAnswer.key == old.c.key
    )
    return (await connection.execute(statement)).rowcount


def _is(key: Key) -> ColumnElement[bool]:
    return and_(KeptAnswer.user_id == key.user_id, KeptAnswer.key == key.text)
