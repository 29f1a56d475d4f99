"""One rate limit: the requests of each key, decided in this process and counted with the others'.

A request is decided by what remained of its key's window when that was last read, less the requests
since. Requests are added to the shared window behind it (decision 16).
"""

from math import ceil
from time import monotonic, time
from typing import Final, NamedTuple

from cachetools import LRUCache
from limits import RateLimitItem

from app.api.middleware.rate_limit.sliding_windows import SlidingWindows

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
