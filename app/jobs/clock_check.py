"""Logs when this machine's clock differs from the database server's."""

from datetime import timedelta
from typing import Final

from app.database.server_clock import ClockOffset
from app.logging import get_logger

_TOLERANCE: Final = timedelta(seconds=5)
"""An offset, or a change of it, up to this is not logged."""

_logger = get_logger(__name__)


class ClockCheck:
    """Logs each offset once. The worker measures it every two seconds.

    Leases and due times use the server's clock, but dates of invoices use this machine's.
    """

    def __init__(self) -> None:
        self._logged: timedelta | None = None

    def check(self, offset: ClockOffset) -> None:
        """Log an offset that is large or has changed, and its end."""
        if not offset.exceeds(_TOLERANCE):
            if self._logged is not None:
                _logger.info("clock right again")
            self._logged = None
        elif self._logged is None or abs(offset.ahead - self._logged) > _TOLERANCE:
            self._logged = offset.ahead
            _logger.warning(
                "this machine's clock differs from the database server's",
                ahead_seconds=round(offset.ahead.total_seconds(), 1),
            )
