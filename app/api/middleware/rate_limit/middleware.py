"""Requests that are too many are refused: before a token is looked at, or once it is known."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from functools import lru_cache
from ipaddress import IPv6Address, ip_network

from fastapi import Request
from limits import RateLimitItem
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app import clock
from app.api.errors import Throttled, error_response
from app.api.middleware.proxy_headers import Address, Origin
from app.api.middleware.rate_limit.counting import Limit, Verdict
from app.api.middleware.rate_limit.redis_sync import Sharing
from app.settings import Settings

UNLIMITED = "/health/"
"""What starts with it is never refused: those who watch over the service ask there."""
_NETWORK_BITS = 64
"""Of an IPv6 address: one customer of a provider has at least all addresses of such a network."""


class Throttle:
    """The limits of one application."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.token = _limit("token", settings.rate_limit_token)
        self.address = _limit("address", settings.rate_limit_address)
        self.failed_logins = _limit("failed-logins", settings.rate_limit_failed_logins)

    @asynccontextmanager
    async def shared(self) -> AsyncIterator[None]:
        """Share what is counted with other processes meanwhile."""
        every = (self.token, self.address, self.failed_logins)
        limits = [limit for limit in every if limit is not None]
        if not limits:
            yield
            return
        sharing = Sharing(self._settings, limits)
        running = asyncio.create_task(sharing.run())
        try:
            yield
        finally:
            running.cancel()
            with suppress(asyncio.CancelledError):
                await running
            await sharing.aclose()


def _limit(name: str, rate: RateLimitItem | None) -> Limit | None:
    return None if rate is None else Limit(name, rate)


class ThrottlingMiddleware:
    """Refuses addresses that have used up their limit, and tells everyone what is left."""

    def __init__(self, app: ASGIApp, throttle: Throttle) -> None:
        self._app = app
        self._throttle = throttle

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection, as ASGI has it."""
        if scope["type"] != "http" or scope["path"].startswith(UNLIMITED):
            await self._app(scope, receive, send)
            return
        visit = scope["app.visit"] = Visit(self._throttle, scope["app.origin"], send)
        try:
            visit.begins()
        except Throttled as error:
            await error_response(error)(scope, receive, visit.send)
        else:
            await self._app(scope, receive, visit.send)


class Visit:
    """One request at the door."""

    __slots__ = ("_address", "_counted", "_send", "_shown", "_throttle")

    def __init__(self, throttle: Throttle, origin: Origin, send: Send) -> None:
        self._throttle = throttle
        self._send = send
        self._address = None if origin.address is None else _place(origin.address)
        self._counted = False
        """Whether it counts on the token, or is not to count."""
        self._shown: tuple[Limit, Verdict] | None = None

    def begins(self) -> None:
        """Look at the address; raises `Throttled` where its limit is used up."""
        self._refuse_used_up(self._throttle.address)

    def brings_token(self) -> None:
        """Look at the failed logins of the address, before a token of it is looked at.

        Raises `Throttled`: a token might be good, but whoever guesses is not to learn that.
        """
        self._refuse_used_up(self._throttle.failed_logins)

    def login_failed(self) -> None:
        """Count a token that is not good."""
        if self._throttle.failed_logins is not None and self._address is not None:
            self._throttle.failed_logins.take(self._address, _now())

    def login_succeeded(self, token: str) -> None:
        """Count the request on its token, by what names that; raises `Throttled`."""
        self._counted = True
        limit = self._throttle.token
        if limit is not None:
            verdict = limit.take(token, _now())
            self._shown = limit, verdict
            if not verdict.granted:
                raise Throttled(verdict.seconds)

    async def send(self, message: Message) -> None:
        """Send a part of the answer, its start with what is left."""
        if message["type"] == "http.response.start":
            # What fails for the service's own reasons counts on nobody.
            if not self._counted and message["status"] < 500:
                self._count_on_address()
            if self._shown is not None:
                limit, verdict = self._shown
                message["headers"] = [*message["headers"], *limit.headers(verdict)]
        await self._send(message)

    def _refuse_used_up(self, limit: Limit | None) -> None:
        if limit is None or self._address is None or self._address not in limit:
            return
        verdict = limit.refusal(self._address, _now())
        if verdict is not None:
            self._counted = True
            self._shown = limit, verdict
            raise Throttled(verdict.seconds)

    def _count_on_address(self) -> None:
        limit = self._throttle.address
        if limit is not None and self._address is not None:
            self._shown = limit, limit.take(self._address, _now())


def visit_of(request: Request) -> Visit:
    """Return the request as it stands at the door."""
    found: Visit = request.scope["app.visit"]
    return found


def _now() -> float:
    return clock.now().timestamp()


@lru_cache(maxsize=4096)
def _place(address: Address) -> str:
    if isinstance(address, IPv6Address):
        return str(ip_network((address, _NETWORK_BITS), strict=False))
    return str(address)
