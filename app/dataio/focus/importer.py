"""Imports cost exports: reads, groups and checks the charges, and stores the invoices.

Everything is stored in one transaction. Then the invoices that are to be issued are issued in
batches, each in its own.
"""

import asyncio
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Final

from app import clock
from app.audit.actor import Actor
from app.audit.writer import audited_transaction
from app.billing.periods import Period
from app.database import import_lock, timeouts
from app.database.engine import Database
from app.database.errors import DatabaseUnavailable
from app.dataio.focus import stored_invoices
from app.dataio.focus.bill_checks import check_currency, reject_tax_rows
from app.dataio.focus.bill_reader import read_bill
from app.dataio.focus.bill_writer import BillWriter
from app.dataio.focus.errors import FocusImportError
from app.dataio.focus.import_report import FocusImportReport
from app.dataio.focus.imported_bills import (
    BillFiles,
    digest_bill,
    examine_files,
    find_unchanged_bill,
    has_bill_of_size,
    is_whole,
    record_bill,
)
from app.dataio.focus.mapping import BillMapper
from app.dataio.focus.options import DEFAULT_OPTIONS, FocusImportOptions
from app.dataio.focus.stored_customers import match_stored_customers
from app.dataio.import_report import ImportRunning, RecordsRejected
from app.dataio.loader import import_transaction
from app.invoices.actions.issue import IssueInvoices, issue_all
from app.invoices.jobs.close_month import split_into_batches
from app.invoices.jobs.failures import invoice_name, work_in_halves
from app.invoices.repository.closing import OverdueInvoice
from app.outbox.outcome import JobSummary
from app.progress import UNWATCHED, Progress
from app.settings import Settings

_ACTOR: Final = Actor("import_focus")


async def import_focus_files(
    database: Database,
    settings: Settings,
    paths: Sequence[Path],
    options: FocusImportOptions = DEFAULT_OPTIONS,
    progress: Progress = UNWATCHED,
) -> FocusImportReport:
    """Import files that are one bill; return the report.

    Reading is the first half of the progress, writing the second; the issue of invoices follows.
    Files that were imported, and whose invoices have not changed since, are not read again. Raises
    FocusImportError, with nothing stored.
    """
    progress.begin("", 1)
    files = examine_files(paths)
    report = await _find_unchanged(database, settings, files, options)
    if report is None:
        report = await _import(database, settings, files, options, progress)
    if options.issue:
        await _issue_past_months(database, settings, report, progress, notify=options.notify)
    return report


async def _find_unchanged(
    database: Database, settings: Settings, files: BillFiles, options: FocusImportOptions
) -> FocusImportReport | None:
    """Return the report of files of which nothing is to be stored; None if they must be read."""
    async with database.reading() as connection:
        if not files.states or not await has_bill_of_size(connection, files.size):
            return None
    digest = await asyncio.to_thread(digest_bill, files, options, settings.currency)
    if digest is None:
        return None
    async with database.reading() as connection:
        found = await find_unchanged_bill(connection, digest, settings.currency)
    if found is None:
        return None
    bill, invoices = found
    warnings = check_currency(bill, settings.currency.code, options.currency)
    currency = options.currency or settings.currency.code
    return FocusImportReport(currency, bill, invoices, options.drop_tax_rows, warnings)


async def _import(
    database: Database,
    settings: Settings,
    files: BillFiles,
    options: FocusImportOptions,
    progress: Progress,
) -> FocusImportReport:
    bill = read_bill(
        files.paths,
        options.currency,
        lambda part: progress.reach(part / 2),
        drop_tax=options.drop_tax_rows,
        allow_equal_rows=options.allow_equal_rows,
    )
    warnings = check_currency(bill, settings.currency.code, options.currency)
    currency = options.currency or settings.currency.code
    if options.tax_percent and not options.drop_tax_rows:
        reject_tax_rows(bill, currency)
    try:
        async with import_transaction(database, settings, _ACTOR) as loader:
            bill, customer_warnings = await match_stored_customers(loader.connection, bill)
            mapper = BillMapper(bill, currency, options.tax_percent or Decimal(0))
            writer = BillWriter(
                loader, mapper, options, lambda part: progress.reach(0.5 + part / 2)
            )
            invoices = await writer.write(files.paths, settings)
            if is_whole(invoices):
                digest = await asyncio.to_thread(digest_bill, files, options, settings.currency)
                if digest is not None:
                    await record_bill(loader.connection, digest, files.size, bill, invoices)
    except ImportRunning as error:
        raise FocusImportError(str(error)) from error
    except RecordsRejected as error:
        raise FocusImportError(*(each.reason for each in error.report.rejected)) from error
    return FocusImportReport(
        currency, bill, invoices, options.drop_tax_rows, warnings + customer_warnings
    )


async def _issue_past_months(
    database: Database,
    settings: Settings,
    report: FocusImportReport,
    progress: Progress,
    *,
    notify: bool,
) -> None:
    """Issue the imported invoices that are pending and of past months, in batches as the close."""
    uuids = [invoice.uuid for invoice in report.imported]
    current = Period.containing(clock.today())
    summary = JobSummary()

    async def issue_batch(batch: Sequence[OverdueInvoice]) -> None:
        command = IssueInvoices([invoice.id for invoice in batch], notify)
        async with audited_transaction(database, settings.audit_key, _ACTOR) as connection:
            # Another import may take long.
            await timeouts.disable_timeouts(connection)
            await import_lock.lock_out_imports(connection)
            issued = await issue_all(connection, command, settings)
        report.issued += len(issued)

    async with database.reading() as connection:
        pending = await stored_invoices.find_pending_before(connection, uuids, current)
    progress.begin("invoices", len(pending))
    for batch in split_into_batches(pending):
        try:
            await work_in_halves(database, batch, issue_batch, summary, invoice_name)
        except DatabaseUnavailable as error:
            summary.failures.append(f"invoice {batch[0].number} and those after it: {error.orig}")
            break
        progress.advance(len(batch))
    report.not_issued += [f"Not issued: {failure}" for failure in summary.failures]
