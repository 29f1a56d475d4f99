"""Logs the state of the database once, though the worker meets it every two seconds."""

from datetime import timedelta
from typing import Final

from sqlalchemy.exc import SQLAlchemyError

from app import clock
from app.database import engine
from app.database.errors import DatabaseReadOnly
from app.database.server_clock import ClockOffset
from app.logging import describe_error, get_logger
from app.metrics.jobs import DATABASE_READ_ONLY

_READ_ONLY: Final = "database read-only"
_UNAVAILABLE: Final = "database unavailable"
_TOLERANCE: Final = timedelta(seconds=5)
"""An offset, or a change of it, up to this is not logged."""

_logger = get_logger(__name__)


class DatabaseOutage:
    """Logs the beginning and the end of an outage once each.

    A session that was opened while the database was read-only may fail after another session has
    succeeded, until the pool replaces it. So a success soon after a failure does not end an outage.
    """

    def __init__(self) -> None:
        self._logged = ""
        self._failed_at = 0.0

    def begin(self, error: SQLAlchemyError) -> None:
        """Log the error, unless an outage of the same kind is logged already."""
        is_read_only = isinstance(error, DatabaseReadOnly)
        DATABASE_READ_ONLY.set(is_read_only)
        event = _READ_ONLY if is_read_only else _UNAVAILABLE
        if event != self._logged:
            _logger.warning(event, error=describe_error(error))
        self._logged = event
        self._failed_at = clock.monotonic()

    def end(self) -> None:
        """Log that the database accepts changes again, if an outage was logged and is over."""
        if not self._logged or clock.monotonic() - self._failed_at < engine.REPLACE_AFTER:
            return
        DATABASE_READ_ONLY.set(0)
        _logger.info("database usable again")
        self._logged = ""


class ClockCheck:
    """Logs each difference between this machine's clock and the database server's once.

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
