"""Close a month: issue the invoices of past months, and open those of the running month.

Each step works in batches, each in a transaction. If one fails, its halves are tried, down to the
single invoice or customer. Batches are small, so that requests wait only shortly for their locks.

Where months have a grace period for late usage, their invoices wait for its end before they are
issued.

Each step stands alone, looks for what is still to be done, and does it at most once. So the close
may run at any time, twice at once, and be killed at any point.
"""

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from sqlalchemy.ext.asyncio import AsyncConnection

from app import clock
from app.audit.actor import Actor
from app.audit.writer import audited_transaction
from app.billing.periods import FIRST_PERIOD, Period
from app.database import import_lock
from app.database.batches import read_in_batches
from app.database.engine import Database
from app.invoices.actions.expire_credits import ExpireCredits, expire_credits
from app.invoices.actions.issue import IssueInvoices, issue_all
from app.invoices.actions.set_currency import use_currency
from app.invoices.jobs.failures import invoice_name, work_in_halves
from app.invoices.repository import closing, compensations
from app.invoices.repository.closing import InvoiceToFinalize, OverdueInvoice
from app.invoices.states import ISSUE_AS_PAID
from app.metrics.closing import CloseResult, count_closed
from app.outbox.outcome import JobSummary, RetryAfter
from app.progress import UNWATCHED, Progress
from app.settings import Settings

_BATCH: Final = 1000
"""The customers and invoices that are opened or ended by a transaction."""
_EXPIRED: Final = 500
"""The customers whose credits a transaction zeroes."""
_ISSUED: Final = 500
_ISSUED_LINES: Final = 10_000
"""The invoices that a transaction issues at most, and their items; one may have more."""
_ACTOR: Final = Actor("close_month")


async def close_month(
    database: Database,
    settings: Settings,
    *,
    include_imported: bool = False,
    notify_imported: bool = False,
    progress: Progress = UNWATCHED,
) -> JobSummary:
    """Issue the invoices of past months, and open the invoices of the running month.

    An invoice waits for the grace period of its month in the state pending_finalization.
    Customers of cost exports are left to the imports of these, which may come days after the month.
    Imported invoices are issued only with `include_imported`, and their customers are notified only
    with `notify_imported`. Balances of credits that have ended become zero. An invoice that cannot
    be issued does not stop the others: the summary lists it among the failures. An unavailable
    database ends the run. Raises `RetryAfter` while an import runs.
    """
    summary = JobSummary()
    running = Period.containing(clock.today())
    waiting = _first_waiting(settings.finalization_grace)

    async def issue_batch(batch: Sequence[OverdueInvoice]) -> None:
        command = IssueInvoices([invoice.id for invoice in batch], notify_imported)
        async with _transaction(database, settings) as connection:
            issued = await issue_all(connection, command, settings)
        for invoice in issued:
            count_closed(CloseResult(invoice.state))
            kind = "issued as paid" if invoice.state == ISSUE_AS_PAID.to else "issued"
            summary.counts[kind] += 1

    if progress.is_watched:
        async with database.reading() as connection:
            overdue = closing.count_overdue(connection, waiting, include_imported=include_imported)
            progress.begin("invoices", await overdue)
    async for batch in _overdue(database, waiting, include_imported):
        failed = len(summary.failures)
        await work_in_halves(database, batch, issue_batch, summary, invoice_name)
        count_closed(CloseResult.FAILED, len(summary.failures) - failed)
        progress.advance(len(batch))
    await _expire_credits(database, settings, summary, progress)
    if waiting < running:
        await _end_months(database, settings, running, summary)
    progress.begin("customers")
    await _open_invoices(database, settings, running, summary, progress)
    return summary


def _first_waiting(grace: timedelta) -> Period:
    """Return the first month that has not ended for so long; earlier ones are to be issued."""
    return Period.containing(clock.now() - grace)


@asynccontextmanager
async def _transaction(database: Database, settings: Settings) -> AsyncIterator[AsyncConnection]:
    """Open an audited transaction; raises `RetryAfter` while an import runs."""
    async with audited_transaction(database, settings.audit_key, _ACTOR) as connection:
        if not await import_lock.try_lock_out_imports(connection):
            raise RetryAfter(import_lock.RETRY_AFTER, import_lock.REASON)
        yield connection


async def _overdue(
    database: Database, before: Period, include_imported: bool
) -> AsyncIterator[Sequence[OverdueInvoice]]:
    """Yield the overdue invoices by month, so that credits pay older months first, in batches.

    Within a month they come by number.
    """
    found = read_in_batches(
        database,
        lambda connection, after: closing.find_overdue_batch(
            connection, before, after=after, limit=_ISSUED, include_imported=include_imported
        ),
        key=lambda row: (row.year, row.month, row.number),
        size=_ISSUED,
        start=(0, 0, 0),
    )
    async for invoices in found:
        for batch in split_into_batches(invoices):
            yield batch


def split_into_batches(
    invoices: Sequence[OverdueInvoice],
) -> Iterator[Sequence[OverdueInvoice]]:
    """Yield the invoices in batches, each to be issued by a transaction."""
    for start in range(0, len(invoices), _ISSUED):
        yield from split_by_lines(invoices[start : start + _ISSUED], _ISSUED_LINES)


def split_by_lines(
    invoices: Sequence[OverdueInvoice], limit: int
) -> Iterator[Sequence[OverdueInvoice]]:
    """Yield the invoices in batches of at most `limit` lines; a longer invoice comes alone."""
    batch: list[OverdueInvoice] = []
    lines = 0
    for invoice in invoices:
        if batch and lines + invoice.lines > limit:
            yield batch
            batch, lines = [], 0
        batch.append(invoice)
        lines += invoice.lines
    if batch:
        yield batch


@dataclass(frozen=True, slots=True)
class CloseStatus:
    """How far months are closed. Imported invoices do not count: the close does not issue them."""

    last_closed: Period
    """The newest past month up to which every invoice was issued."""
    overdue: int
    """The number of invoices that the next close has to issue, up to a limit."""


async def find_close_status(
    connection: AsyncConnection, count_to: int, grace: timedelta = timedelta()
) -> CloseStatus:
    """Return how far months are closed; `grace` is the time that each waits after its end."""
    running = Period.containing(clock.today())
    waiting = _first_waiting(grace)
    count, first = await closing.count_unissued(connection, running, waiting, count_to)
    return CloseStatus(max((first or running).shifted(-1), FIRST_PERIOD), count)


async def _end_months(
    database: Database, settings: Settings, running: Period, summary: JobSummary
) -> None:
    """Let the invoices of past months wait for the end of their grace period."""

    async def end_batch(batch: Sequence[InvoiceToFinalize]) -> None:
        async with _transaction(database, settings) as connection:
            ended = await closing.end_month(connection, [invoice.id for invoice in batch])
        summary.counts["waiting"] += ended

    found = read_in_batches(
        database,
        lambda connection, after: closing.find_invoices_to_finalize(
            connection, running, after=after, limit=_BATCH
        ),
        key=lambda row: row.id,
        size=_BATCH,
        start=0,
    )
    async for batch in found:
        await work_in_halves(database, batch, end_batch, summary, invoice_name)


async def _expire_credits(
    database: Database, settings: Settings, summary: JobSummary, progress: Progress
) -> None:
    """Zero the balances of credits that have ended, after the invoices that they still pay."""

    async def expire_batch(batch: Sequence[int]) -> None:
        async with _transaction(database, settings) as connection:
            expired = await expire_credits(connection, ExpireCredits(batch))
        summary.counts["credits expired"] += expired.count

    async with database.reading() as connection:
        customers = await compensations.find_customers_with_ended_credits(connection)
    if customers:
        progress.begin("customers with ended credits", len(customers))
    for start in range(0, len(customers), _EXPIRED):
        batch = customers[start : start + _EXPIRED]
        await work_in_halves(
            database, batch, expire_batch, summary, lambda each: f"credits of customer {each}"
        )
        progress.advance(len(batch))


async def _open_invoices(
    database: Database,
    settings: Settings,
    running: Period,
    summary: JobSummary,
    progress: Progress,
) -> None:
    """Open the running month's invoice of each customer that needs one."""

    async def open_batch(batch: Sequence[int]) -> None:
        async with _transaction(database, settings) as connection:
            await use_currency(connection, settings.currency)
            opened = await closing.open_invoices(connection, running, batch)
        summary.counts["opened"] += opened

    found = read_in_batches(
        database,
        lambda connection, after: closing.find_customers_to_invoice(
            connection, running, after=after, limit=_BATCH
        ),
        key=int,
        size=_BATCH,
        start=0,
    )
    async for customers in found:
        await work_in_halves(
            database, customers, open_batch, summary, lambda each: f"opening for customer {each}"
        )
        progress.advance(len(customers))
