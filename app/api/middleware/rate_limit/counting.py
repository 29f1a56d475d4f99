"""Requests counted against a rate, by key, in the memory of one process.

A window slides: of the last window, as much is counted as still lies within one window's length
before now, as though its requests had come evenly.
"""

from collections.abc import Iterator
from math import ceil
from typing import Final, NamedTuple

from cachetools import LRUCache
from limits import RateLimitItem

BOUND: Final = 20_000
"""Keys that a limit knows at most; the one that was not seen the longest makes room."""

RawHeader = tuple[bytes, bytes]

_SLACK: Final = 0.001
"""Of a request: more than is lost in adding up what is no whole number."""


class Verdict(NamedTuple):
    """Whether a request is let in, and what is left."""

    granted: bool
    remaining: int
    """Requests that are let in now, after this one."""
    seconds: float
    """Until the window ends; until there is room, where nothing is left."""


class Count:
    """The requests of one key; numbers of windows count from the epoch."""

    __slots__ = ("informed", "known", "previous", "unsent", "window")

    def __init__(self, window: int) -> None:
        self.window = window
        self.previous = 0
        """Requests in the window before."""
        self.known = 0
        """Requests in this window, of all processes, as far as was heard."""
        self.unsent = 0
        """Requests in this window that the other processes were not told."""
        self.informed = False
        """Whether it was asked how many there were in the window before."""

    def move_to(self, window: int) -> None:
        """Begin another window."""
        last = self.known + self.unsent if window == self.window + 1 else 0
        self.window, self.previous, self.known, self.unsent = window, last, 0, 0
        self.informed = False


class Share(NamedTuple):
    """What is to be told to other processes, and asked of them, about one key."""

    of: Count
    current: str
    previous: str
    """The names of the windows, the same in all processes."""
    amount: int
    window: int
    asks: bool
    """Whether the requests of the window before are asked for."""


class Limit:
    """A rate, and how much of it each key has used; it contains those that have used any."""

    def __init__(self, name: str, rate: RateLimitItem, bound: int = BOUND) -> None:
        self.name = name
        self.seconds = rate.get_expiry()
        self._rate = rate
        self._amount = rate.amount
        self._counts: LRUCache[str, Count] = LRUCache(bound)
        self._active: dict[str, Count] = {}
        self._policy = b"ratelimit-policy", f'"{name}";q={rate.amount};w={self.seconds}'.encode()
        self._left_format = f'"{name}";r=%d;t=%d'.encode()

    def __contains__(self, key: str) -> bool:
        return key in self._counts

    def headers(self, verdict: Verdict) -> tuple[RawHeader, RawHeader]:
        """Return what a client is told: the limit, and what is left of it."""
        left = self._left_format % (verdict.remaining, ceil(verdict.seconds))
        return self._policy, (b"ratelimit", left)

    def take(self, key: str, now: float) -> Verdict:
        """Count a request, unless there is no room for it; `now` is in seconds from the epoch."""
        window, into = divmod(now, self.seconds)
        count = self._counts.get(key)
        if count is None:
            count = self._counts[key] = Count(int(window))
        elif count.window != window:
            count.move_to(int(window))
        left = self._left(count, into)
        if left < 1:
            return Verdict(False, 0, self._wait(count, into))
        count.unsent += 1
        self._active[key] = count
        return Verdict(True, int(left) - 1, self.seconds - into)

    def refusal(self, key: str, now: float) -> Verdict | None:
        """Return how a request would be refused, without counting it; None where there is room."""
        count = self._counts.get(key)
        if count is None:
            return None
        window, into = divmod(now, self.seconds)
        if count.window != window:
            count.move_to(int(window))
        return None if self._left(count, into) >= 1 else Verdict(False, 0, self._wait(count, into))

    def shares(self) -> Iterator[Share]:
        """Yield what was counted since this was last asked, which then counts as told."""
        active, self._active = self._active, {}
        for key, count in active.items():
            amount, count.unsent = count.unsent, 0
            count.known += amount
            name = self._rate.key_for(self.name, key)
            yield Share(
                count,
                f"{name}/{count.window}",
                f"{name}/{count.window - 1}",
                amount,
                count.window,
                not count.informed,
            )

    def _left(self, count: Count, into: float) -> float:
        past = count.previous * (1 - into / self.seconds)
        return self._amount + _SLACK - past - count.known - count.unsent

    def _wait(self, count: Count, into: float) -> float:
        """Return the seconds until there is room for one request."""
        here = count.known + count.unsent
        if here < self._amount:
            # What counts of the window before shrinks.
            return self.seconds * (1 - (self._amount - here - 1) / count.previous) - into
        return self.seconds * (2 - (self._amount - 1) / here) - into


def learn(share: Share, total: int, before: int | None) -> None:
    """Take in what all processes have counted together, `before` in the window before.

    Nothing is forgotten that this process knows itself: a Redis that was emptied knows less.
    """
    count = share.of
    if count.window == share.window:
        count.known = max(count.known, total)
        if before is not None:
            count.previous = max(count.previous, before)
            count.informed = True
    elif count.window == share.window + 1:
        count.previous = max(count.previous, total)
