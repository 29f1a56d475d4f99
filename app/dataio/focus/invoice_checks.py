"""Decides for each invoice of a bill whether an import may store it."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from app.billing.currencies import get_currency
from app.billing.enums import ImportSource
from app.billing.restatement import Restatement, restate
from app.dataio.focus import stored_invoices
from app.dataio.focus.billed_items import BilledInvoice, load_billed_invoice
from app.dataio.focus.import_report import count_noun
from app.dataio.focus.mapping import BillMapper, InvoiceDraft
from app.dataio.focus.missing_charges import describe_missing_charges
from app.dataio.focus.options import FocusImportOptions
from app.dataio.focus.restatements import RestatedInvoice
from app.dataio.focus.stored_invoices import StoredInvoice
from app.invoices.states import CHANGEABLE


@dataclass
class PlannedInvoice:
    """An invoice of the bill, and the stored invoice of its customer and month."""

    draft: InvoiceDraft
    stored: StoredInvoice | None
    tax_percent: Decimal | None
    """The tax that the import sets; None: a stored invoice keeps its own."""
    refusal: str = ""
    """Why the import may not store it although the bill differs from the stored invoice."""
    is_unchanged: bool = False
    """Whether the stored invoice has the items of the bill, so that none is written."""
    restated: RestatedInvoice | None = None
    """The differences to bill, if the stored invoice is issued."""

    @property
    def uuid(self) -> UUID:
        """The UUID of the stored or the new invoice."""
        return self.stored.uuid if self.stored else self.draft.uuid

    @property
    def is_writable(self) -> bool:
        """Whether the import stores the invoice."""
        return not self.refusal and (self.stored is None or self.stored.is_open)


class InvoiceChecker:
    """Compares the invoices of a bill with the stored ones."""

    def __init__(
        self,
        connection: AsyncConnection,
        mapper: BillMapper,
        options: FocusImportOptions,
        running: Mapping[UUID, StoredInvoice],
    ) -> None:
        """Check invoices; `running` has the stored ones of the running month by customer."""
        self._connection = connection
        self._mapper = mapper
        self._replace = options.replace
        self._credit = options.credit
        self._running = running
        self.lacks_charges = False
        """Whether an invoice was refused since it would lose charges of an earlier import."""
        self.removed_items: list[UUID] = []
        """The imported items of writable invoices that are not in the bill."""

    async def find_refusal(self, plan: PlannedInvoice) -> str:
        """Return why the import may not store an invoice that differs; empty if it may."""
        stored = plan.stored
        if stored is not None and not stored.is_open:
            return await self._compare_with_issued(plan, stored)
        return await self._compare_with_other_invoices(plan) or (
            "" if stored is None else await self._compare_with_open(plan, stored)
        )

    async def _compare_with_issued(self, plan: PlannedInvoice, stored: StoredInvoice) -> str:
        if stored.source != ImportSource.FOCUS:
            return "it was not created by an import of cost exports"
        if refusal := self._compare_currency(stored):
            return refusal
        items = await stored_invoices.load_imported_items(self._connection, stored.id)
        records = list(self._mapper.map_items(plan.draft, stored.uuid))
        rounding = await stored_invoices.sum_prices(self._connection, [plan.draft.rounding])
        billed = await load_billed_invoice(
            self._connection, stored, items, (plan.draft.rounding, rounding)
        )
        count = stored_invoices.count_differences(items, records)
        changes = Restatement()
        if count or billed.was_restated:
            changes = self._restate(plan.draft, billed)
        if billed.was_restated:
            count = len(changes.credits) + len(changes.differences)
        is_credited = self._credit and not billed.is_final
        if count and not is_credited:
            return _describe_difference(plan.draft, stored, billed, count)
        if plan.tax_percent not in (None, stored.tax_percent):
            return f"it is {stored.state} with a tax of {stored.tax_percent:f} %"
        if not is_credited:
            return ""
        running = self._running.get(plan.draft.customer)
        plan.restated = RestatedInvoice(plan.draft, stored, billed, changes, running)
        return await self._compare_with_other_invoices(plan) or plan.restated.find_refusal(
            self._mapper.currency, [*items, *records]
        )

    def _restate(self, draft: InvoiceDraft, billed: BilledInvoice) -> Restatement:
        lines = self._mapper.map_lines(draft)
        costs = {uuid: line.billed_cost for uuid, line in lines.items()}
        currency = get_currency(self._mapper.currency)
        return restate(costs, draft.amounts.price, billed.items, currency)

    async def _compare_with_other_invoices(self, plan: PlannedInvoice) -> str:
        for number, state, count, price in await stored_invoices.find_items_on_other_invoices(
            self._connection, plan.uuid, plan.draft.lines
        ):
            can_move = state in CHANGEABLE and plan.restated is None
            if not can_move or not self._replace:
                self.lacks_charges |= can_move
                return (
                    f"{count_noun(count, 'item')} of {price:f} would move here from invoice "
                    f"{number}, which is {state}"
                )
        return ""

    async def _compare_with_open(self, plan: PlannedInvoice, stored: StoredInvoice) -> str:
        if stored.source not in (None, ImportSource.FOCUS):
            return f"it was imported from {stored.source}"
        if refusal := self._compare_currency(stored):
            return refusal
        items = await stored_invoices.load_imported_items(self._connection, stored.id)
        lines = stored_invoices.to_invoice_lines(items)
        billed = self._mapper.map_lines(plan.draft)
        if not self._replace and (missing := describe_missing_charges(lines, billed)):
            self.lacks_charges = True
            return f"{missing}, since the file lacks charges of an earlier import"
        self.removed_items += [uuid for uuid in lines if uuid not in billed]
        plan.is_unchanged = stored.is_unchanged_since_import and stored_invoices.are_equal(
            items, self._mapper.map_items(plan.draft, stored.uuid)
        )
        return ""

    def _compare_currency(self, stored: StoredInvoice) -> str:
        if stored.currency in (None, self._mapper.currency):
            return ""
        return f"its charges are in {stored.currency}"


def _describe_difference(
    draft: InvoiceDraft, invoice: StoredInvoice, billed: BilledInvoice, lines: int
) -> str:
    """Return the refusal of a bill that differs from an issued invoice in a number of lines."""
    price, before = draft.amounts.price, billed.items.price
    differ = f"{count_noun(lines, 'line')} {'differs' if lines == 1 else 'differ'}"
    remedy = "" if billed.is_final else ", which --credit bills"
    return (
        f"it is {invoice.state} and {differ} in the file, which bills {price:f}, while the "
        f"invoice bills {before:f}: a difference of {price - before:+f}{remedy}"
    )
