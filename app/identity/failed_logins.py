"""Log lines for failed logins: the client's address and the reason, never the token.

To keep repeated attempts from filling the log, the first attempt of an address in each period is
logged at once, and the number of attempts at the end of the period.
"""

import asyncio
from collections import Counter
from ipaddress import IPv4Address, IPv6Address
from typing import Final

from app.logging import get_logger

PERIOD: Final = 60.0
"""Seconds in which at most two lines are logged for an address."""
MAX_ADDRESSES: Final = 50
"""Addresses logged in a period; the attempts of further ones are added up."""

_logger = get_logger(__name__)


class FailedLogins:
    """The failed logins of one process."""

    def __init__(self) -> None:
        self._attempts: Counter[str] = Counter()
        self._other_attempts = 0
        self._timer: asyncio.TimerHandle | None = None

    def record(self, address: IPv4Address | IPv6Address | None, reason: str, path: str) -> None:
        """Count an attempt, and log it if it is the first of its address in this period."""
        name = str(address)
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(PERIOD, self.flush)
        if name in self._attempts or len(self._attempts) < MAX_ADDRESSES:
            self._attempts[name] += 1
            if self._attempts[name] == 1:
                _logger.warning("failed login", address=name, reason=reason, path=path)
        else:
            self._other_attempts += 1

    def flush(self) -> None:
        """Log the numbers of attempts and start a new period."""
        for name, attempts in self._attempts.items():
            if attempts > 1:
                _logger.warning("failed logins", address=name, attempts=attempts)
        if self._other_attempts:
            _logger.warning("failed logins of other addresses", attempts=self._other_attempts)
        if self._timer is not None:
            self._timer.cancel()
        self._attempts.clear()
        self._other_attempts, self._timer = 0, None
