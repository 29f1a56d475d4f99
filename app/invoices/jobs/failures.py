"""One record that fails does not stop the others of a job; an unavailable database does."""

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


_T = TypeVar("_T")


def invoice_name(invoice: Numbered) -> str:
    """Return the name of an invoice in the summary of a job."""
    return f"invoice {invoice.number}"


async def work_in_halves(
    database: Database,
    batch: Sequence[_T],
    work: Callable[[Sequence[_T]], Awaitable[None]],
    summary: JobSummary,
    name: Callable[[_T], str],
) -> None:
    """Work on a batch in a transaction of its own; if that fails, on each of its halves.

    The summary lists those that fail alone, by their `name`. Raises `RetryAfter` as the work does,
    and the errors of a database that is unavailable or read-only.
    """
    try:
        await work(batch)
    except (RetryAfter, DatabaseReadOnly):
        raise
    except Exception as error:
        await _check_database(database)
        if len(batch) == 1:
            failed = name(batch[0])
            _logger.exception("part of a job failed", failed=failed)
            summary.failures.append(f"{failed}: {error_message(error)}")
            return
    else:
        return
    middle = len(batch) // 2
    await work_in_halves(database, batch[:middle], work, summary, name)
    await work_in_halves(database, batch[middle:], work, summary, name)


async def _check_database(database: Database) -> None:
    """Raise the database's error if the database failed, and not the single record."""
    async with database.reading() as connection:
        await connection.execute(select(1))
