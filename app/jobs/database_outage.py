"""Logs the beginning and the end of a database outage once each."""

from typing import Final

from sqlalchemy.exc import SQLAlchemyError

from app.database.errors import DatabaseReadOnly
from app.logging import describe_error, get_logger
from app.metrics.jobs import DATABASE_READ_ONLY

_READ_ONLY: Final = "database read-only"
_UNAVAILABLE: Final = "database unavailable"

_logger = get_logger(__name__)


class DatabaseOutage:
    """Remembers which outage was logged. The worker uses the database every two seconds."""

    def __init__(self) -> None:
        self._logged = ""

    def begin(self, error: SQLAlchemyError) -> None:
        """Log the error, unless an outage of the same kind is logged already."""
        is_read_only = isinstance(error, DatabaseReadOnly)
        DATABASE_READ_ONLY.set(is_read_only)
        event = _READ_ONLY if is_read_only else _UNAVAILABLE
        if event != self._logged:
            _logger.warning(event, error=describe_error(error))
        self._logged = event

    def end(self) -> None:
        """Log that the database accepts changes again, if an outage was logged."""
        DATABASE_READ_ONLY.set(0)
        if self._logged:
            _logger.info("database usable again")
        self._logged = ""
