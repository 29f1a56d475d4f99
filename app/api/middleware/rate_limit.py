"""Rate limits: requests beyond the limit of a token or an address are refused.

A request is decided by what remained of its key's window when this process last read it, less the
requests since. Requests are added to the window that all processes share behind it (decision 16).
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv6Address, ip_network
from math import ceil
from time import monotonic, time
from typing import Final, NamedTuple

from cachetools import LRUCache
from limits import RateLimitItem
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.api.errors import Throttled, error_response
from app.api.middleware.proxy_headers import Address
from app.api.middleware.sliding_windows import SlidingWindows
from app.settings import Settings

UNLIMITED = "/health/"
"""Paths that begin so have no limit: monitoring must never be refused."""
SHARE_INTERVAL: Final = 0.2
"""Seconds between two rounds in which requests are added to the shared windows."""
_NETWORK_BITS = 64
"""Of an IPv6 address: one customer of a provider has at least all addresses of such a network."""
MAX_KEYS: Final = 20_000
"""Keys that a limit keeps; the least recently used one makes room."""
_MAX_UNSHARED: Final = 0.01
"""Part of the limit that a process may count by itself before it adds that to the shared window."""
_MAX_DELAY: Final = 0.1
"""Part of the window after which it adds even less than that."""

RawHeader = tuple[bytes, bytes]


class Verdict(NamedTuple):
    """Whether a request is within the limit, and what remains of the limit."""

    allowed: bool
    remaining: int
    """Requests that are allowed now, after this one."""
    seconds: float
    """Until more requests are allowed."""


class _Counter:
    """The requests of one key."""

    __slots__ = ("adding", "read_at", "remaining", "reset_at", "unshared")

    def __init__(self, remaining: int, reset_at: float, now: float) -> None:
        self.remaining = remaining
        """Requests that remained when the shared window was last read."""
        self.reset_at = reset_at
        """When more of the window is available, on the monotonic clock."""
        self.read_at = now
        self.unshared = 0
        """Requests since then."""
        self.adding = 0
        """Requests that are being added to the shared window."""


class Limit:
    """A rate, and how much of it each key has used."""

    def __init__(
        self, name: str, rate: RateLimitItem, windows: SlidingWindows, max_keys: int = MAX_KEYS
    ) -> None:
        self._name = name
        self._rate = rate
        self._windows = windows
        self._seconds = rate.get_expiry()
        self._counters: LRUCache[str, _Counter] = LRUCache(max_keys)
        self._unshared: dict[str, _Counter] = {}
        self._policy = b"ratelimit-policy", f'"{name}";q={rate.amount};w={self._seconds}'.encode()
        self._left_format = f'"{name}";r=%d;t=%d'.encode()

    def headers(self, verdict: Verdict) -> tuple[RawHeader, RawHeader]:
        """Return the `RateLimit-Policy` and `RateLimit` headers."""
        return self._policy, (
            b"ratelimit",
            self._left_format % (verdict.remaining, ceil(verdict.seconds)),
        )

    async def refusal(self, key: str) -> Verdict | None:
        """Return the verdict on another request of the key if it is refused; None if allowed.

        Asks for the shared window only if this process has none to allow.
        """
        counter = self._counters.get(key)
        if counter is None or counter.remaining > counter.unshared + counter.adding:
            return None
        if counter.unshared or counter.adding or monotonic() >= counter.reset_at:
            await self._share(key, counter)
            if counter.remaining > counter.unshared + counter.adding:
                return None
        return Verdict(False, 0, max(0.0, counter.reset_at - monotonic()))

    def count(self, key: str) -> Verdict:
        """Count a request of the key."""
        now = monotonic()
        counter = self._counters.get(key)
        if counter is None or now - counter.read_at > 2 * self._seconds:
            counter = _Counter(self._rate.amount, now + self._seconds, now)
            self._counters[key] = counter
        counter.unshared += 1
        self._unshared[key] = counter
        remaining = max(0, counter.remaining - counter.unshared - counter.adding)
        return Verdict(True, remaining, max(0.0, counter.reset_at - now))

    async def share(self) -> None:
        """Add to the shared windows the requests of each key that has enough of them."""
        for key, counter in list(self._unshared.items()):
            delay = monotonic() - counter.read_at
            if (
                counter.unshared >= self._rate.amount * _MAX_UNSHARED
                or delay >= self._seconds * _MAX_DELAY
            ):
                await self._share(key, counter)

    async def _share(self, key: str, counter: _Counter) -> None:
        """Add a key's requests to the shared window, and read what remains of it."""
        requests, counter.unshared = counter.unshared, 0
        self._unshared.pop(key, None)
        counter.adding += requests
        try:
            stats = await self._windows.add(self._rate, self._name, key, requests)
        finally:
            counter.adding -= requests
        counter.remaining = stats.remaining
        counter.read_at = monotonic()
        seconds = stats.reset_time - time()
        counter.reset_at = counter.read_at + (seconds if seconds > 0 else self._seconds)


class RateLimits:
    """The limits of one application; None is no limit."""

    def __init__(self, settings: Settings) -> None:
        self._windows = SlidingWindows(settings)
        self.token = self._limit("token", settings.rate_limit_token)
        self.address = self._limit("address", settings.rate_limit_address)
        self.failed_logins = self._limit("failed-logins", settings.rate_limit_failed_logins)

    def _limit(self, name: str, rate: RateLimitItem | None) -> Limit | None:
        return None if rate is None else Limit(name, rate, self._windows)

    @asynccontextmanager
    async def shared(self) -> AsyncIterator[None]:
        """Share counts with the other processes for the length of the context."""
        task = asyncio.create_task(self.share_forever())
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
            await self._windows.aclose()

    async def share_forever(self) -> None:
        """Share counts, again and again, until cancelled."""
        limits = [limit for limit in (self.token, self.address, self.failed_logins) if limit]
        while True:
            await asyncio.sleep(SHARE_INTERVAL)
            for limit in limits:
                await limit.share()


class RateLimitMiddleware:
    """Refuses addresses that have used up their limit, and adds the `RateLimit` headers."""

    def __init__(self, app: ASGIApp, limits: RateLimits) -> None:
        self._app = app
        self._limits = limits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection, as ASGI has it."""
        if scope["type"] != "http" or scope["path"].startswith(UNLIMITED):
            await self._app(scope, receive, send)
            return
        address = scope["app.origin"].address
        limiter = scope["app.request_limiter"] = RequestLimiter(
            send, self._limits, None if address is None else _address_key(address)
        )
        try:
            await limiter.check(self._limits.address, limiter.address)
        except Throttled as error:
            await error_response(error)(scope, receive, limiter.send)
        else:
            await self._app(scope, receive, limiter.send)


@dataclass(slots=True)
class RequestLimiter:
    """The limits that apply to one request."""

    _send: Send
    limits: RateLimits
    address: str | None
    """The key of the client's address; None if it is unknown."""
    _counted: bool = False
    """Whether the request counts on its token, or was refused and counts on nothing."""
    _shown: tuple[Limit, Verdict] | None = None
    """The values in the `RateLimit` headers."""

    async def check(self, limit: Limit | None, key: str | None) -> None:
        """Raise `Throttled` if the key has used up the limit.

        Check the limit of failed logins before a token is looked up: the answer to a guess must not
        show whether the token is valid.
        """
        if limit is None or key is None:
            return
        verdict = await limit.refusal(key)
        if verdict is not None:
            self._counted = True
            self._shown = limit, verdict
            raise Throttled(verdict.seconds)

    def count_failed_login(self) -> None:
        """Count an invalid token of the address."""
        if self.limits.failed_logins is not None and self.address is not None:
            self.limits.failed_logins.count(self.address)

    async def count_on_token(self, token: str) -> None:
        """Count the request on its valid token; raise `Throttled` if that limit is used up."""
        self._counted = True
        limit = self.limits.token
        if limit is not None:
            await self.check(limit, token)
            self._shown = limit, limit.count(token)

    async def send(self, message: Message) -> None:
        """Send a message of the response; add the `RateLimit` headers to its start."""
        if message["type"] == "http.response.start":
            limit = self.limits.address
            # Failures of the service itself do not count.
            if (
                not self._counted
                and limit is not None
                and self.address is not None
                and message["status"] < 500
            ):
                self._shown = limit, limit.count(self.address)
            if self._shown is not None:
                limit, verdict = self._shown
                message["headers"] = [*message["headers"], *limit.headers(verdict)]
        await self._send(message)


@lru_cache(maxsize=4096)
def _address_key(address: Address) -> str:
    if isinstance(address, IPv6Address):
        return str(ip_network((address, _NETWORK_BITS), strict=False))
    return str(address)
