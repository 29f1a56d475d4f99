"""One invoice that fails does not stop the others of a job; an unavailable database does."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol, TypeVar

from sqlalchemy import select

from app.database.engine import Database
from app.database.errors import DatabaseReadOnly
from app.logging import error_message, get_logger
from app.outbox.outcome import JobSummary, RetryAfter

_logger = get_logger(__name__)


class Numbered(Protocol):
    """An invoice."""

    @property
    def number(self) -> int:
        """Its number."""


_Invoice = TypeVar("_Invoice", bound=Numbered)


async def check_database(database: Database) -> None:
    """Raise the database's error if the database failed, and not the single invoice."""
    async with database.reading() as connection:
        await connection.execute(select(1))


async def work_in_halves(
    database: Database,
    batch: Sequence[_Invoice],
    work: Callable[[Sequence[_Invoice]], Awaitable[None]],
    summary: JobSummary,
) -> None:
    """Work on a batch in a transaction of its own; if that fails, on each of its halves.

    The summary lists the invoices that fail alone. Raises `RetryAfter` as the work does, and the
    errors of a database that is unavailable or read-only.
    """
    try:
        await work(batch)
    except (RetryAfter, DatabaseReadOnly):
        raise
    except Exception as error:
        await check_database(database)
        if len(batch) == 1:
            number = batch[0].number
            _logger.exception("invoice failed", number=number)
            summary.failures.append(f"invoice {number}: {error_message(error)}")
            return
    else:
        return
    middle = len(batch) // 2
    await work_in_halves(database, batch[:middle], work, summary)
    await work_in_halves(database, batch[middle:], work, summary)
