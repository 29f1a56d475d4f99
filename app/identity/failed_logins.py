"""Tokens that were not good, told in the log: from where and why, never what was sent.

Whoever tries again and again does not fill the log: of an address the first attempt of a minute is
told at once, how many there were at its end.
"""

import asyncio
from collections import Counter
from ipaddress import IPv4Address, IPv6Address
from typing import Final

from app.logging import get_logger

PERIOD: Final = 60.0
"""Seconds in which an address is told twice at most."""
ADDRESSES: Final = 50
"""Addresses told of in a period at most; further ones are counted together."""

_logger = get_logger(__name__)


class FailedLogins:
    """The failed logins of one process."""

    def __init__(self) -> None:
        self._attempts: Counter[str] = Counter()
        self._others = 0
        self._ends: asyncio.TimerHandle | None = None

    def note(self, address: IPv4Address | IPv6Address | None, reason: str, path: str) -> None:
        """Tell of an attempt, or count it, where its address was told of already."""
        name = str(address)
        if self._ends is None:
            self._ends = asyncio.get_running_loop().call_later(PERIOD, self.tell)
        if name in self._attempts or len(self._attempts) < ADDRESSES:
            self._attempts[name] += 1
            if self._attempts[name] == 1:
                _logger.warning("failed login", address=name, reason=reason, path=path)
        else:
            self._others += 1

    def tell(self) -> None:
        """Tell what was counted, and begin anew."""
        for name, attempts in self._attempts.items():
            if attempts > 1:
                _logger.warning("failed logins", address=name, attempts=attempts)
        if self._others:
            _logger.warning("failed logins of other addresses", attempts=self._others)
        if self._ends is not None:
            self._ends.cancel()
        self._attempts.clear()
        self._others, self._ends = 0, None
