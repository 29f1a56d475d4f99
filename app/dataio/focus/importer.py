"""Imports cost exports: reads, groups and checks the charges, and stores the invoices.

Everything is stored in one transaction. Then each invoice that is to be issued is issued in its
own.
"""

from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Final

from sqlalchemy.exc import DBAPIError

from app import clock
from app.audit.actor import Actor
from app.audit.writer import audited_transaction
from app.billing.periods import Period
from app.database.engine import Database
from app.database.errors import DatabaseUnavailable
from app.dataio.focus import stored_invoices
from app.dataio.focus.bill_checks import check_currency, reject_tax_rows
from app.dataio.focus.bill_reader import read_bill
from app.dataio.focus.bill_writer import BillWriter
from app.dataio.focus.errors import FocusImportError
from app.dataio.focus.import_report import FocusImportReport
from app.dataio.focus.mapping import BillMapper
from app.dataio.focus.options import DEFAULT_OPTIONS, FocusImportOptions
from app.dataio.focus.stored_customers import match_stored_customers
from app.dataio.import_report import ImportRunning, RecordsRejected
from app.dataio.loader import import_transaction
from app.invoices.actions.issue import IssueInvoice, issue
from app.invoices.errors import WrongInvoiceState
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
    Raises FocusImportError, with nothing stored.
    """
    progress.begin("", 1)
    bill = read_bill(
        paths,
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
            invoices = await writer.write(paths, settings)
    except ImportRunning as error:
        raise FocusImportError(str(error)) from error
    except RecordsRejected as error:
        raise FocusImportError(*(each.reason for each in error.report.rejected)) from error
    report = FocusImportReport(
        currency, bill, invoices, options.drop_tax_rows, warnings + customer_warnings
    )
    if options.issue:
        await _issue_past_months(database, settings, report, progress, notify=options.notify)
    return report


async def _issue_past_months(
    database: Database,
    settings: Settings,
    report: FocusImportReport,
    progress: Progress,
    *,
    notify: bool,
) -> None:
    """Issue the imported invoices that are pending and of past months."""
    uuids = [invoice.uuid for invoice in report.imported]
    current = Period.containing(clock.today())
    async with database.reading() as connection:
        pending = await stored_invoices.find_pending_before(connection, uuids, current)
    progress.begin("invoices", len(pending))
    for invoice_id, number in pending:
        progress.advance()
        try:
            async with audited_transaction(database, settings.audit_key, _ACTOR) as connection:
                await issue(connection, IssueInvoice(invoice_id, notify), settings)
        except WrongInvoiceState:
            continue  # it has been issued or canceled since
        except (DBAPIError, DatabaseUnavailable) as error:
            report.not_issued.append(f"Invoice {number} was not issued: {error.orig}")
        else:
            report.issued += 1
