"""Telling that this machine's clock is not as the database server's."""

from datetime import timedelta
from typing import Final

from app.database.server_clock import ClockOffset
from app.logging import get_logger

_MOST: Final = timedelta(seconds=5)
"""What clocks may differ by, and a difference may change by, without a word."""

_logger = get_logger(__name__)


class ClockCheck:
    """What the log was told of the difference; the worker looks at it every two seconds.

    Leases and due times do not go by our clock, but dates of invoices do.
    """

    def __init__(self) -> None:
        self._told: timedelta | None = None

    def tell(self, difference: ClockOffset) -> None:
        """Log a difference that is large, or has changed, and that it is gone."""
        if not difference.exceeds(_MOST):
            if self._told is not None:
                _logger.info("clock right again")
            self._told = None
        elif self._told is None or abs(difference.ahead - self._told) > _MOST:
            self._told = difference.ahead
            _logger.warning(
                "this machine's clock differs from the database server's",
                ahead_seconds=round(difference.ahead.total_seconds(), 1),
            )
