"""Who is calling: the token of a request, looked up by its digest.

With `X-Impersonated-User-Uuid` a request of staff is done as another user: with that user's access
and rights, and under that user's idempotency keys. Rate limits count on the token that is sent.
"""

from dataclasses import replace
from datetime import datetime
from typing import Annotated, cast

from fastapi import Depends, Request
from sqlalchemy import bindparam, select

from app import clock
from app.api.errors import ApiError, NotAuthenticated, PermissionDenied
from app.api.format_parameter import require_json
from app.api.middleware.proxy_headers import client_address
from app.api.middleware.rate_limit.middleware import visit_of
from app.api.middleware.request_log import note_impersonator, note_user, safe_path
from app.api.permissions import IMPERSONATED_USER, Access, enforces
from app.database.engine import Database
from app.identity.caller import Caller, Impersonator
from app.identity.failed_logins import FailedLogins
from app.identity.models import Token, User
from app.identity.token_cache import Holder, TokenCache
from app.identity.tokens import digest
from app.uuids import parse_uuid

_SCHEMES = ("token", "bearer")

_holder = (
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


_impersonated = select(
    User.id, User.uuid, User.username, User.is_staff, User.is_support, User.is_active
).where(User.uuid == bindparam("uuid"))


class NotImpersonated(ApiError):
    """400: no user as whom a request can be done, which is not done with all of staff's power."""

    def __init__(self, problem: str) -> None:
        super().__init__(400, {"detail": f"{IMPERSONATED_USER} {problem}."})


def key_of(header: str | None) -> str:
    """Return the key that an Authorization header carries, as `Token KEY` or `Bearer KEY`.

    `Bearer Token KEY` is what generated clients make of the documented example, `Token KEY`.
    Raises NotAuthenticated where there is none.
    """
    scheme, *rest = (header or "").split() or [""]
    if scheme.lower() not in _SCHEMES:
        raise NotAuthenticated
    if scheme.lower() == "bearer" and [word.lower() for word in rest[:1]] == ["token"]:
        rest = rest[1:]
    if not rest:
        raise NotAuthenticated("Invalid token header. No credentials provided.")
    if len(rest) > 1:
        raise NotAuthenticated("Invalid token header. Token string should not contain spaces.")
    return rest[0]


def _is_past(moment: datetime | None) -> bool:
    return moment is not None and moment <= clock.now()


async def _caller(request: Request) -> Caller:
    header = request.headers.get("authorization")
    if header is None:
        raise NotAuthenticated
    visit = visit_of(request)
    visit.brings_token()
    try:
        sought = digest(key_of(header))
        holder = await _holder_of(request, sought)
    except NotAuthenticated as error:
        visit.login_failed()
        failed_logins = cast(FailedLogins, request.app.state.failed_logins)
        failed_logins.note(client_address(request), error.body["detail"], safe_path(request))
        raise
    # Half of the digest names the token well enough, and is no use for anything else.
    visit.login_succeeded(sought[:32])
    note_user(request, holder.user_uuid)
    caller = Caller(
        holder.user_id,
        holder.user_uuid,
        holder.username,
        holder.token,
        holder.is_staff,
        holder.is_support,
        client_address(request),
    )
    named = request.headers.getlist(IMPERSONATED_USER)
    return await _impersonating(request, caller, named) if named and caller.is_staff else caller


async def _impersonating(request: Request, staff: Caller, named: list[str]) -> Caller:
    """Return the caller as whom staff's request is done; raises `NotImpersonated`.

    The user is looked up each time: what is kept of a token stays its own user's.
    """
    uuid = parse_uuid(named[0].strip()) if len(named) == 1 else None
    if uuid is None:
        raise NotImpersonated("must be one UUID")
    async with cast(Database, request.app.state.database).reading() as connection:
        user = (await connection.execute(_impersonated, {"uuid": uuid})).one_or_none()
    if user is None:
        raise NotImpersonated("names no user")
    if not user.is_active:
        raise NotImpersonated("names a user who is not active")
    note_user(request, user.uuid)
    note_impersonator(request, staff.user_uuid)
    return replace(
        staff,
        user_id=user.id,
        user_uuid=user.uuid,
        username=user.username,
        is_staff=user.is_staff,
        is_support=user.is_support,
        impersonator=Impersonator(staff.user_uuid, staff.username),
    )


async def _holder_of(request: Request, sought: str) -> Holder:
    """Return whose a token is, by its digest; raises NotAuthenticated where it is not good."""
    cache = cast(TokenCache, request.app.state.token_cache)
    holder = cache.get(sought)
    if holder is None:
        asked_at = clock.monotonic()
        holder = await _look_up(request.app.state.database, sought)
        cache.keep(sought, holder, asked_at)
    if _is_past(holder.expires_at):
        raise NotAuthenticated("Token has expired.")
    return holder


async def _look_up(database: Database, sought: str) -> Holder:
    # A connection for this alone: whoever changes something then opens a transaction, and must
    # not hold one connection while waiting for another.
    async with database.reading() as connection:
        found = (await connection.execute(_holder, {"digest": sought})).one_or_none()
    if found is None or _is_past(found.revoked_at):
        raise NotAuthenticated("Invalid token.")
    if not found.is_active:
        raise NotAuthenticated("User inactive or deleted.")
    return Holder(
        found.id,
        found.uuid,
        found.username,
        found.token,
        found.is_staff,
        found.is_support,
        found.expires_at,
    )


@enforces(Access.AUTHENTICATED)
async def authenticated(request: Request) -> Caller:
    """Let in whoever has a good token."""
    caller = await _caller(request)
    require_json(request)
    return caller


@enforces(Access.STAFF)
async def staff_only(request: Request) -> Caller:
    """Let in staff; anyone else is refused before anything else is looked at."""
    caller = await _caller(request)
    if not caller.is_staff:
        raise PermissionDenied
    require_json(request)
    return caller


@enforces(Access.STAFF_OR_SUPPORT)
async def staff_or_support(request: Request) -> Caller:
    """Let in staff and support; anyone else is refused before anything else is looked at."""
    caller = await _caller(request)
    if not caller.sees_everything:
        raise PermissionDenied
    require_json(request)
    return caller


Authenticated = Annotated[Caller, Depends(authenticated)]
StaffOnly = Annotated[Caller, Depends(staff_only)]
StaffOrSupport = Annotated[Caller, Depends(staff_or_support)]
