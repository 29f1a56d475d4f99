"""Authentication: the caller of a request, by its token.

Staff can send `X-Impersonated-User-Uuid` to act as another user. The request then has that user's
access, rights and idempotency keys. Rate limits count the token that was sent.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Annotated, Final

from fastapi import Depends, Request

from app.api.errors import ApiError, NotAuthenticated, NotFound, PermissionDenied
from app.api.middleware.proxy_headers import origin
from app.api.middleware.rate_limit import RequestLimiter
from app.api.middleware.read_positions import POSITIONS
from app.api.middleware.request_log import safe_path, set_impersonator, set_user
from app.api.permissions import IMPERSONATED_USER, Access
from app.formats import parse_uuid
from app.identity import users
from app.identity.caller import Caller, Impersonator
from app.identity.tokens import InvalidToken, find_caller, token_digest

_SCHEMES: Final = ("token", "bearer")
_FORMATS: Final = ("", "json")
"""The values of `format`. As in Django REST framework, another format is not found."""


class ImpersonationFailed(ApiError):
    """400: the header does not name an active user.

    The request is refused because it must not run with the rights of staff instead.
    """

    def __init__(self, problem: str) -> None:
        super().__init__(400, {"detail": f"{IMPERSONATED_USER} {problem}."})


def parse_authorization(header: str) -> str:
    """Return the key in an Authorization header, `Token KEY` or `Bearer KEY`.

    Generated clients turn the documented example, `Token KEY`, into `Bearer Token KEY`, which is
    accepted too. Raises `NotAuthenticated`.
    """
    scheme, *rest = header.split() or [""]
    if scheme.lower() not in _SCHEMES:
        raise NotAuthenticated
    if scheme.lower() == "bearer" and [word.lower() for word in rest[:1]] == ["token"]:
        rest = rest[1:]
    if not rest:
        raise NotAuthenticated("Invalid token header. No credentials provided.")
    if len(rest) > 1:
        raise NotAuthenticated("Invalid token header. Token string should not contain spaces.")
    return rest[0]


async def _impersonate(request: Request, staff: Caller, values: list[str]) -> Caller:
    """Return the caller of an impersonated request. Raises `ImpersonationFailed`.

    The impersonated user is not cached: the cache holds each token's own user.
    """
    uuid = parse_uuid(values[0].strip()) if len(values) == 1 else None
    if uuid is None:
        raise ImpersonationFailed("must be one UUID")
    async with request.app.state.database.reading() as connection:
        user = await users.find_by_uuid(connection, uuid)
    if user is None:
        raise ImpersonationFailed("names no user")
    if not user.is_active:
        raise ImpersonationFailed("names a user who is not active")
    set_user(request, user.uuid)
    set_impersonator(request, staff.user_uuid)
    return Caller(
        user.id,
        user.uuid,
        user.username,
        staff.token,
        user.is_staff,
        user.is_support,
        staff.address,
        Impersonator(staff.user_uuid, staff.username),
    )


class Require:
    """The dependency that admits the callers with an access, before all other checks."""

    def __init__(self, access: Access, has_access: Callable[[Caller], bool]) -> None:
        self._has_access = has_access
        self.admitted = access

    async def __call__(self, request: Request) -> Caller:
        """Return the caller of a request. Raises the `ApiError` of the response otherwise."""
        header = request.headers.get("authorization")
        if header is None:
            raise NotAuthenticated
        limiter: RequestLimiter = request.scope["app.request_limiter"]
        address = origin(request).address
        await limiter.check(limiter.limits.failed_logins, limiter.address)
        state = request.app.state
        try:
            digest = token_digest(parse_authorization(header))
            try:
                user = await find_caller(state.database, state.token_cache, digest)
            except InvalidToken as error:
                raise NotAuthenticated(str(error)) from None
        except NotAuthenticated as error:
            limiter.count_failed_login()
            state.failed_logins.record(address, error.body["detail"], safe_path(request))
            raise
        # Half of the digest identifies the token and is useless for anything else.
        await limiter.count_on_token(digest[:32])
        if (positions := request.scope.get(POSITIONS)) is not None:
            await positions.set_token(digest[:32])
        set_user(request, user.user_uuid)
        caller = replace(user, address=address)
        impersonated = request.headers.getlist(IMPERSONATED_USER)
        if impersonated and caller.is_staff:
            caller = await _impersonate(request, caller, impersonated)
        if not self._has_access(caller):
            raise PermissionDenied
        if request.query_params.get("format", "") not in _FORMATS:
            raise NotFound
        return caller


require_user: Final = Require(Access.AUTHENTICATED, lambda _: True)
require_staff: Final = Require(Access.STAFF, lambda caller: caller.is_staff)
require_staff_or_support: Final = Require(
    Access.STAFF_OR_SUPPORT, lambda caller: caller.is_staff or caller.is_support
)
Authenticated = Annotated[Caller, Depends(require_user)]
"""Any user with a valid token."""
StaffOnly = Annotated[Caller, Depends(require_staff)]
StaffOrSupport = Annotated[Caller, Depends(require_staff_or_support)]
