"""The month's close: invoices of past months are issued, those of the running month opened.

Every step stands alone, looks at what is still to do, and does it at most once: the close may run
at any time, twice at once, and be killed anywhere.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

from sqlalchemy import (
    ColumnElement,
    Date,
    Integer,
    SmallInteger,
    and_,
    cast,
    exists,
    func,
    literal,
    or_,
    select,
    tuple_,
)
from sqlalchemy.dialects.postgresql import Insert, insert
from sqlalchemy.ext.asyncio import AsyncConnection

from app import clock
from app.audit.actor import Actor
from app.audit.writer import audited_transaction
from app.billing.currencies import get_currency
from app.billing.enums import ImportSource
from app.billing.periods import FIRST_PERIOD, Period
from app.customers.models import Customer
from app.database import import_lock
from app.database.engine import Database
from app.database.errors import DatabaseReadOnly
from app.invoices.actions.issue import IssueInvoice, issue
from app.invoices.actions.set_currency import use_currency
from app.invoices.errors import WrongInvoiceState
from app.invoices.models import Invoice, InvoiceItem
from app.invoices.states import ISSUE, ISSUE_AS_PAID, OPEN_FOR_ITEMS
from app.logging import error_message, get_logger
from app.outbox.outcome import JobSummary, RetryAfter
from app.settings import Settings

_BATCH: Final = 1000
_ACTOR: Final = Actor("close_month")

_logger = get_logger(__name__)


async def close_month(
    database: Database,
    settings: Settings,
    *,
    include_imported: bool = False,
    notify_imported: bool = False,
) -> JobSummary:
    """Issue what is pending of months before the running one, and open the running month's.

    Customers that an import of cost exports made are left to such imports, which may come days
    after the month. Imported invoices of past months are issued only with `include_imported`, and
    nobody is written to about them unless `notify_imported`. One invoice that cannot be issued
    does not stop the others: it is told in the summary's failures. A database that goes away ends
    the run. Raises Later while an import runs.
    """
    summary = JobSummary()
    running = Period.containing(clock.today())
    async for invoice_id, number in _pending_before(database, running, include_imported):
        try:
            async with _changing(database, settings) as connection:
                issued = await issue(
                    connection, IssueInvoice(invoice_id, notify_imported), settings
                )
        except (RetryAfter, DatabaseReadOnly):
            raise
        except WrongInvoiceState:
            continue  # it was issued or canceled meanwhile
        except Exception as error:
            await _expect_answer(database)
            _logger.exception("invoice not issued", number=number)
            summary.failures.append(f"invoice {number}: {error_message(error)}")
            continue
        summary.counts["issued as paid" if issued.state == ISSUE_AS_PAID.to else "issued"] += 1
    await _open(database, settings, running, summary)
    return summary


@asynccontextmanager
async def _changing(database: Database, settings: Settings) -> AsyncIterator[AsyncConnection]:
    """Yield a connection in a transaction that is recorded; raises Later while an import runs."""
    async with audited_transaction(database, settings.audit_key, _ACTOR) as connection:
        if not await import_lock.try_lock_out_imports(connection):
            raise RetryAfter(import_lock.RETRY_AFTER, import_lock.REASON)
        yield connection


async def _pending_before(
    database: Database, running: Period, include_imported: bool
) -> AsyncIterator[tuple[int, int]]:
    """Yield id and number of each pending invoice of an earlier month, in order of creation."""
    due = _is_ours()
    if include_imported:
        # An invoice without items, which an earlier version opened, waits for its bill.
        due = or_(due, exists().where(InvoiceItem.invoice_id == Invoice.id))
    last = 0
    while True:
        statement = (
            select(Invoice.id, Invoice.number)
            .join(Customer, Customer.id == Invoice.customer_id)
            .where(_is_overdue(running), due, Invoice.id > last)
            .order_by(Invoice.id)
            .limit(_BATCH)
        )
        async with database.reading() as connection:
            batch = (await connection.execute(statement)).all()
        for invoice_id, number in batch:
            yield invoice_id, number
        if len(batch) < _BATCH:
            return
        last = batch[-1].id


@dataclass(frozen=True, slots=True)
class Closed:
    """How far months are closed; imported invoices, which are not ours to issue, do not count."""

    last: Period
    """The newest month before the running one of which, and before which, nothing is pending."""
    overdue: int
    """Pending invoices of past months, as far as they were counted."""


async def closed(connection: AsyncConnection, count_to: int) -> Closed:
    """Tell which month was closed last, and how many invoices the next close has to issue."""
    running = Period.containing(clock.today())
    overdue = (
        select(Invoice.year, Invoice.month)
        .join(Customer, Customer.id == Invoice.customer_id)
        .where(_is_overdue(running), _is_ours())
        .order_by(Invoice.year, Invoice.month)
        .limit(count_to)
        .subquery()
    )
    oldest = func.min(cast(overdue.c.year, Integer) * 100 + overdue.c.month)
    count, first = (await connection.execute(select(func.count(), oldest))).one()
    reached = running if first is None else Period(*divmod(first, 100))
    return Closed(max(reached.shifted(-1), FIRST_PERIOD), count)


def _is_ours() -> ColumnElement[bool]:
    """Tell whether an invoice, joined with its customer, is made here and for one billed here."""
    return and_(Invoice.source.is_(None), _is_billed_here())


def _is_billed_here() -> ColumnElement[bool]:
    return Customer.source.is_distinct_from(ImportSource.FOCUS.value)


def _is_overdue(running: Period) -> ColumnElement[bool]:
    # Compared as a row, the period can be looked up in the index of states.
    past = tuple_(Invoice.year, Invoice.month) < tuple_(running.year, running.month)
    return and_(Invoice.state.in_(ISSUE.valid), past)


async def _open(
    database: Database, settings: Settings, running: Period, summary: JobSummary
) -> None:
    """Open the running month's invoice for each customer whose accounting runs and who has none."""
    last = 0
    while True:
        statement = (
            select(Customer.id)
            .where(_to_be_invoiced(running), Customer.id > last)
            .order_by(Customer.id)
            .limit(_BATCH)
        )
        async with database.reading() as connection:
            customers = (await connection.execute(statement)).scalars().all()
        if not customers:
            return
        try:
            async with _changing(database, settings) as connection:
                await use_currency(connection, get_currency(settings.currency))
                result = await connection.execute(_opening(running, customers))
        except (RetryAfter, DatabaseReadOnly):
            raise
        except Exception as error:
            await _expect_answer(database)
            _logger.exception("invoices not opened", first=customers[0], last=customers[-1])
            summary.failures.append(
                f"opening for customers {customers[0]} to {customers[-1]}: {error_message(error)}"
            )
        else:
            summary.counts["opened"] += result.rowcount
        last = customers[-1]


def _to_be_invoiced(running: Period) -> ColumnElement[bool]:
    # Who has an invoice is left out here, rather than by the conflict alone, since each row that
    # conflicts would use up an invoice number.
    has_one = exists().where(
        Invoice.customer_id == Customer.id,
        Invoice.year == running.year,
        Invoice.month == running.month,
    )
    return and_(
        _is_billed_here(),
        ~Customer.archived,
        Customer.accounting_start_date <= clock.now(),
        ~has_one,
    )


def _opening(running: Period, customers: Sequence[int]) -> Insert:
    rows = (
        select(
            func.gen_random_uuid(),
            Customer.id,
            literal(running.year, SmallInteger),
            literal(running.month, SmallInteger),
            literal(OPEN_FOR_ITEMS.value),
            Customer.default_tax_percent,
            literal(clock.today(), Date),
        )
        .where(Customer.id.in_(customers), _to_be_invoiced(running))
        .order_by(Customer.id)
    )
    columns = ["uuid", "customer_id", "year", "month", "state", "tax_percent", "created"]
    return (
        insert(Invoice)
        .from_select(columns, rows)
        .on_conflict_do_nothing(index_elements=[Invoice.customer_id, Invoice.year, Invoice.month])
    )


async def _expect_answer(database: Database) -> None:
    """Raise what the database raises where it is the database that fails, not one row."""
    async with database.reading() as connection:
        await connection.execute(select(1))
