"""Stores a bill: the part of an import that runs in its transaction."""

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from decimal import Decimal
from itertools import islice
from pathlib import Path
from typing import Any, Final
from uuid import UUID

from app import clock
from app.billing.enums import ImportSource
from app.billing.periods import Period
from app.catalogue.models import Resource
from app.credits.repository import ledger
from app.dataio.focus import stored_invoices
from app.dataio.focus.engine import Progress
from app.dataio.focus.errors import FocusImportError
from app.dataio.focus.import_report import InvoiceOutcome, InvoiceResult, count_noun
from app.dataio.focus.invoice_checks import InvoiceChecker, PlannedInvoice
from app.dataio.focus.mapping import BillMapper, InvoiceDraft
from app.dataio.focus.options import FocusImportOptions
from app.dataio.focus.restatements import Restater
from app.dataio.focus.stored_invoices import StoredInvoice
from app.dataio.loader import BATCH_RECORDS, Loader
from app.dataio.records.catalogue import ResourceRecord
from app.dataio.records.invoices import InvoiceItemRecord
from app.dataio.records.record import Record
from app.dataio.registry import RECORD_KIND_BY_MODEL
from app.invoices.repository import imports
from app.settings import Settings

_HOW_TO_REPLACE: Final = (
    "Name all parts of an export in one command. --replace makes the invoices equal to the files "
    "and removes the imported charges that are not in the files."
)

_Row = tuple[Any, ...]
"""The values of a record, as `RecordKind.values` orders them."""


class BillWriter:
    """Stores the invoices of a bill over a loader."""

    def __init__(
        self, loader: Loader, mapper: BillMapper, options: FocusImportOptions, progress: Progress
    ) -> None:
        self._loader = loader
        self._connection = loader.connection
        self._mapper = mapper
        self._options = options
        self._progress = progress
        self._names: dict[UUID, str] = {}

    async def write(self, paths: Sequence[Path], settings: Settings) -> list[InvoiceResult]:
        """Store the invoices and return their results.

        Credit notes name the files at `paths`. Raises FocusImportError if an invoice cannot be
        stored, unless the option `keep_good` is set. Calls `progress` with the fraction of the
        items that have been stored.
        """
        drafts = self._mapper.drafts
        if not drafts:
            return []
        customers = {draft.customer for draft in drafts}
        if self._options.credit:
            # Credit notes lock the credits of a customer before its invoices.
            await ledger.lock_credits_of_customers(self._connection, customers)
        stored = await stored_invoices.load_invoices(self._connection, customers)
        month = Period.containing(clock.today())
        running = {
            customer: invoice
            for (customer, *of_month), invoice in stored.items()
            if of_month == [month.year, month.month]
        }
        plans = [
            PlannedInvoice(
                draft,
                stored.get((draft.customer, draft.key.year, draft.key.month)),
                # The provider's taxes among the lines are not taxed again.
                Decimal(0) if draft.has_tax else self._options.tax_percent,
            )
            for draft in drafts
        ]
        checker = InvoiceChecker(self._connection, self._mapper, self._options, running)
        for plan in plans:
            plan.refusal = await checker.find_refusal(plan)
        refused = [plan for plan in plans if plan.refusal]
        if refused and not self._options.keep_good:
            await self._load_names(plans)
            raise FocusImportError(
                *map(self._describe_refusal, refused),
                *([_HOW_TO_REPLACE] if checker.lacks_charges else []),
                "Nothing was imported. --keep-good imports the other invoices.",
            )
        await self._store([plan for plan in plans if plan.is_writable], checker.removed_items)
        restated = [plan.restated for plan in plans if plan.restated and not plan.refusal]
        opened = [plan.uuid for plan in plans if plan.is_writable and plan.stored is None]
        restater = Restater(self._loader, self._mapper, self._options, month)
        notes = await restater.write(restated, opened, paths, settings)
        await imports.mark_unchanged_since_import(
            self._connection,
            [each.uuid for each in stored.values() if each.is_unchanged_since_import],
        )
        return await self._collect_results(plans, notes)

    async def _load_names(self, plans: Sequence[PlannedInvoice]) -> None:
        customers = {plan.draft.customer for plan in plans}
        self._names = await stored_invoices.load_customer_names(self._connection, customers)

    def _customer_name(self, draft: InvoiceDraft) -> str:
        return self._names.get(draft.customer) or self._mapper.customer_name(draft.key.account)

    def _describe_refusal(self, plan: PlannedInvoice) -> str:
        invoice = f"Invoice {plan.stored.number}" if plan.stored else "The new invoice"
        name = self._customer_name(plan.draft)
        return f"{invoice} ({plan.draft.month}, {name}): {plan.refusal}."

    async def _store(self, plans: list[PlannedInvoice], removed_items: list[UUID]) -> None:
        await self._add_references()
        for plan in plans:
            if plan.stored is None:
                await self._loader.add(self._mapper.map_invoice(plan.draft))
        await self._update_stored_invoices(plans)
        changed = [plan for plan in plans if not plan.is_unchanged]
        total, done = sum(len(plan.draft.lines) for plan in changed), 0
        rows = (
            item.values
            for plan in changed
            for item in self._mapper.map_items(plan.draft, plan.uuid)
        )

        def report(count: int) -> None:
            nonlocal done
            done += count
            self._progress(done / total)

        await self._write_rows(InvoiceItemRecord, rows, report)
        roundings = [plan.draft.rounding for plan in plans if plan.stored is not None]
        await imports.delete_items(self._connection, removed_items + roundings)

    async def _update_stored_invoices(self, plans: list[PlannedInvoice]) -> None:
        stored = [(plan.stored.id, plan.tax_percent) for plan in plans if plan.stored is not None]
        await imports.adopt_invoices(
            self._connection,
            [invoice_id for invoice_id, _ in stored],
            ImportSource.FOCUS,
            self._options.tax_percent or Decimal(0),
        )
        taxes: dict[Decimal, list[int]] = {}
        for invoice_id, tax_percent in stored:
            if tax_percent is not None:
                taxes.setdefault(tax_percent, []).append(invoice_id)
        for tax_percent, invoice_ids in taxes.items():
            await imports.set_tax_percent(self._connection, invoice_ids, tax_percent)

    async def _add_references(self) -> None:
        """Add the missing references. An operator may have completed the existing ones."""
        for model, references in self._mapper.references():
            column = RECORD_KIND_BY_MODEL[model].table.c.uuid
            existing = await stored_invoices.find_existing(self._connection, column, references)
            for uuid, map_reference in references.items():
                if uuid not in existing:
                    await self._loader.add(map_reference())
            await self._loader.flush()
        resources = self._mapper.resources()
        existing = await stored_invoices.find_existing(self._connection, Resource.uuid, resources)
        rows = (
            self._mapper.map_resource(uuid, line)
            for uuid, line in resources.items()
            if uuid not in existing
        )
        await self._write_rows(ResourceRecord, rows)

    async def _write_rows(
        self,
        model: type[Record],
        rows: Iterator[_Row],
        report: Callable[[int], object] = lambda _: None,
    ) -> None:
        """Write rows in batches, and report the number of each.

        A thread makes the next batch while PostgreSQL writes one.
        """

        def make_batch() -> list[_Row]:
            return list(islice(rows, BATCH_RECORDS))

        upcoming = asyncio.create_task(asyncio.to_thread(make_batch))
        try:
            while batch := await upcoming:
                upcoming = asyncio.create_task(asyncio.to_thread(make_batch))
                await self._loader.write_rows(model, batch)
                report(len(batch))
        finally:
            await asyncio.gather(upcoming, return_exceptions=True)

    async def _collect_results(
        self, plans: list[PlannedInvoice], restatements: Mapping[UUID, list[str]]
    ) -> list[InvoiceResult]:
        revisions = await stored_invoices.load_revisions(
            self._connection, [plan.uuid for plan in plans]
        )
        await self._load_names(plans)
        other_items = await stored_invoices.sum_other_items(
            self._connection,
            [plan.stored.id for plan in plans if plan.stored is not None],
            [plan.draft.rounding for plan in plans],
        )
        results = []
        for plan in plans:
            number, revision = revisions.get(plan.uuid, (None, 0))
            outcome, note = _outcome(plan, revision)
            notes = [*([note] if note else []), *restatements.get(plan.uuid, ())]
            if plan.stored is not None and plan.stored.id in other_items:
                count, price = other_items[plan.stored.id]
                notes.append(f"{count_noun(count, 'item')} of {price:f} came from no import")
            results.append(
                InvoiceResult(
                    plan.uuid,
                    self._customer_name(plan.draft),
                    plan.draft.key.year,
                    plan.draft.key.month,
                    number,
                    outcome,
                    plan.draft.amounts,
                    "; ".join(notes),
                )
            )
        updated = [each.uuid for each in results if each.outcome is InvoiceOutcome.UPDATED]
        await self._loader.flush()
        await imports.mark_unchanged_since_import(self._connection, updated)
        return results


def _outcome(plan: PlannedInvoice, revision: int) -> tuple[InvoiceOutcome, str]:
    """Return the outcome of an invoice and a note about it."""
    if plan.refusal:
        return InvoiceOutcome.REFUSED, plan.refusal
    stored: StoredInvoice | None = plan.stored
    if stored is None:
        return InvoiceOutcome.NEW, ""
    if plan.restated is not None:
        is_empty = plan.restated.changes.is_empty
        return InvoiceOutcome.UNCHANGED if is_empty else InvoiceOutcome.RESTATED, ""
    if revision == stored.revision:
        return InvoiceOutcome.UNCHANGED, ""
    note = ""
    if stored.was_issued_empty:
        note = "it was issued without items, and is pending again"
    elif stored.was_changed_since_import:
        note = "it was changed here; its imported items are now as in the file again"
    return InvoiceOutcome.UPDATED, note
