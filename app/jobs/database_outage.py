"""Telling once that the worker cannot use the database, and once that it can again."""

from typing import Final

from sqlalchemy.exc import SQLAlchemyError

from app.database.errors import DatabaseReadOnly
from app.logging import describe_error, get_logger
from app.metrics.jobs import DATABASE_READ_ONLY

_READ_ONLY: Final = "database read-only"
_UNAVAILABLE: Final = "database unavailable"

_logger = get_logger(__name__)


class DatabaseOutage:
    """What the log was told of the database; the worker asks it every two seconds."""

    def __init__(self) -> None:
        self._told = ""

    def tell(self, error: SQLAlchemyError) -> None:
        """Log that a look at the database failed, unless the log was told of the same before."""
        is_read_only = isinstance(error, DatabaseReadOnly)
        DATABASE_READ_ONLY.set(is_read_only)
        event = _READ_ONLY if is_read_only else _UNAVAILABLE
        if event != self._told:
            _logger.warning(event, error=describe_error(error))
        self._told = event

    def end(self) -> None:
        """Log that the database took a change, if it did not before."""
        DATABASE_READ_ONLY.set(0)
        if self._told:
            _logger.info("database usable again")
        self._told = ""
