"""Bills the differences of restated bills: by credit notes, and on the running month's invoices."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, Final
from uuid import UUID

from app.billing.enums import ImportSource
from app.billing.periods import Period
from app.billing.restatement import LineCredit, Restatement
from app.credit_notes.actions.credit import CreditInvoice, CreditItem, credit
from app.credit_notes.queries.credited import find_summary
from app.dataio.focus import identifiers
from app.dataio.focus.billed_items import RESTATED_INVOICE, BilledInvoice, load_item_records
from app.dataio.focus.categories import TAX
from app.dataio.focus.charge_groups import InvoiceKey
from app.dataio.focus.mapping import BillMapper, InvoiceDraft
from app.dataio.focus.options import FocusImportOptions
from app.dataio.focus.stored_invoices import StoredInvoice, load_revisions
from app.dataio.loader import Loader
from app.dataio.records.invoices import InvoiceItemRecord, InvoiceRecord
from app.documents.document import print_credit_note_number
from app.invoices.models import RESTATED_ITEM
from app.invoices.repository import imports
from app.invoices.states import CHANGEABLE
from app.settings import Settings

RESTATED_MONTH: Final = "restated_month"
"""The key in the details of a difference of the month whose bill it corrects, like 2026-09."""
_KEPT_DETAILS: Final = frozenset(
    (
        "offering_type",
        "offering_name",
        "offering_uuid",
        "service_provider_name",
        "service_provider_uuid",
        "charge_category",
        "charge_class",
        "billing_currency",
        "resource_name",
        "resource_uuid",
    )
)
"""Without the costs and quantities, which are those of the whole item, a difference is no imported
item: later imports leave it unchanged."""
_MAX_FILES: Final = 3


@dataclass(frozen=True, slots=True)
class RestatedInvoice:
    """An issued invoice whose bill was restated."""

    draft: InvoiceDraft
    invoice: StoredInvoice
    billed: BilledInvoice
    changes: Restatement
    running: StoredInvoice | None
    """The stored invoice of the running month of the customer."""

    @property
    def new_items(self) -> Sequence[UUID]:
        """The items whose difference is to be billed and was not before, or is issued."""
        changed = self.changes.differences.items()
        return [item for item, price in changed if price and item not in self.billed.pending]

    def find_refusal(self, currency: str, items: Iterable[Any]) -> str:
        """Return why the differences cannot be billed; empty if they can.

        `items` are those of the bill and of the invoice.
        """
        invoice = self.running
        if invoice is None or not self.new_items:
            return ""
        reason = ""
        if invoice.state not in CHANGEABLE:
            reason = str(invoice.state)
        elif invoice.source not in (None, ImportSource.FOCUS):
            reason = f"imported from {invoice.source}"
        elif invoice.currency not in (None, currency):
            reason = f"in {invoice.currency}"
        elif invoice.tax_percent and any(
            each.uuid in self.new_items and each.details.get("charge_category") == TAX
            for each in items
        ):
            reason = f"taxed with {invoice.tax_percent:f} %, but there are taxes of the provider"
        if not reason:
            return ""
        return (
            f"the difference cannot be billed on invoice {invoice.number} of the running month:"
            f" it is {reason}"
        )


def describe_restatement(month: str, files: Sequence[Path]) -> str:
    """Return the reason of the credit notes for a restated bill."""
    names = [_printable(path.name) for path in files[:_MAX_FILES]]
    if len(files) > _MAX_FILES:
        names.append("…")
    return f"The bill of {month} was restated ({', '.join(names)})"


def _printable(name: str) -> str:
    """Return a file's name without the bytes and control characters that no text can have."""
    return "".join(each if each.isprintable() else "\N{REPLACEMENT CHARACTER}" for each in name)


class Restater:
    """Writes the credit notes and differences of restated bills over a loader."""

    def __init__(
        self, loader: Loader, mapper: BillMapper, options: FocusImportOptions, running: Period
    ) -> None:
        self._loader = loader
        self._connection = loader.connection
        self._mapper = mapper
        self._tax_percent = options.tax_percent
        self._running = running

    async def write(
        self,
        restated: Sequence[RestatedInvoice],
        opened: Collection[UUID],
        files: Sequence[Path],
        settings: Settings,
    ) -> dict[UUID, list[str]]:
        """Write the differences, then the credit notes; return notes by the UUID of the invoice.

        `opened` are the new invoices of the import. Credit notes come last, since their counter is
        locked until the end of the import.
        """
        await self._open_running_invoices(restated, opened)
        notes = {each.invoice.uuid: await self._bill_differences(each) for each in restated}
        for each in restated:
            reason = describe_restatement(each.draft.month, files)
            notes[each.invoice.uuid] += await self._credit(each, reason, settings)
            if each.changes.kept:
                notes[each.invoice.uuid].append(
                    f"{each.changes.kept:f} is not credited: earlier credit notes gave it back"
                )
        return notes

    async def _open_running_invoices(
        self, restated: Sequence[RestatedInvoice], opened: Collection[UUID]
    ) -> None:
        """Add the missing invoices of the running month.

        Their tax is that of the restated invoice, unless the operator gives one.
        """
        added = set(opened)
        for each in restated:
            uuid, tax_percent = self._running_invoice(each), self._tax_percent
            if not each.new_items or each.running is not None or uuid in added:
                continue
            added.add(uuid)
            record = InvoiceRecord(
                uuid=uuid,
                customer=each.draft.customer,
                year=self._running.year,
                month=self._running.month,
                tax_percent=each.invoice.tax_percent if tax_percent is None else tax_percent,
                created=self._running.first_day,
                source=ImportSource.FOCUS,
                unchanged_since_import=True,
            )
            await self._loader.add(record)

    def _running_invoice(self, restated: RestatedInvoice) -> UUID:
        if restated.running is not None:
            return restated.running.uuid
        month, account = self._running, restated.draft.key.account
        return identifiers.invoice_uuid(InvoiceKey(month.year, month.month, account))

    async def _bill_differences(self, restated: RestatedInvoice) -> list[str]:
        """Write the differences of a bill, and return a note for each invoice that has them."""
        changes, billed = restated.changes.differences, restated.billed
        if not changes:
            return []
        running = self._running_invoice(restated)
        records = await self._find_records(restated)
        removed: list[UUID] = []
        sums: dict[UUID, Decimal] = {}
        for item, price in changes.items():
            pending = billed.pending.get(item)
            invoice = pending.invoice if pending else running
            period = pending.period if pending else self._running
            if price:
                record = _map_difference(restated, records[item], invoice, period, price)
                await self._loader.add(record)
            elif pending:
                removed.append(pending.line)
            change = price - billed.items.pending.get(item, Decimal(0))
            sums[invoice] = sums.get(invoice, Decimal(0)) + change
        await self._loader.flush()
        await imports.delete_items(self._connection, removed)
        invoices = await load_revisions(self._connection, sums)
        return [
            f"invoice {invoices[uuid][0]} bills {abs(change):f} {'more' if change > 0 else 'less'}"
            for uuid, change in sums.items()
        ]

    async def _find_records(self, restated: RestatedInvoice) -> Mapping[UUID, InvoiceItemRecord]:
        """Return records of the items with a difference, which may not be on the bill any more."""
        wanted = {item for item, price in restated.changes.differences.items() if price}
        billed = self._mapper.map_items(restated.draft, restated.invoice.uuid)
        records = {
            each.uuid: InvoiceItemRecord(**each._asdict()) for each in billed if each.uuid in wanted
        }
        gone = {
            line.item: line.line
            for line in reversed(restated.billed.items.issued)
            if line.item in wanted and line.item not in records
        }
        stored = await load_item_records(self._connection, gone.values())
        return records | {item: stored[line] for item, line in gone.items()}

    async def _credit(
        self, restated: RestatedInvoice, reason: str, settings: Settings
    ) -> list[str]:
        """Make a credit note for each invoice with lines to credit, and return notes of them."""
        by_invoice: dict[int, list[LineCredit]] = {}
        for each in restated.changes.credits:
            by_invoice.setdefault(each.invoice, []).append(each)
        notes = []
        for invoice_id, lines in by_invoice.items():
            items = [CreditItem(each.line, price=each.price) for each in lines]
            command = CreditInvoice(invoice_id, reason, items, ImportSource.FOCUS)
            uuid = await credit(self._connection, command, settings)
            note = await find_summary(self._connection, uuid)
            notes.append(
                f"credit note {print_credit_note_number(note.number)} gives back {note.net:f} of"
                f" invoice {note.invoice_number}, {note.gross:f} with tax"
            )
        return notes


def _map_difference(
    restated: RestatedInvoice,
    record: InvoiceItemRecord,
    invoice: UUID,
    period: Period,
    price: Decimal,
) -> InvoiceItemRecord:
    """Return the record of a difference, from that of the item or of an earlier difference.

    Its time is the month of its invoice: e-invoices require that the period of a line is within
    that of the invoice.
    """
    month = restated.draft.month
    suffix = f" ({month}, restated)"
    item = UUID(record.details.get(RESTATED_ITEM, str(record.uuid)))
    details = {key: value for key, value in record.details.items() if key in _KEPT_DETAILS}
    details |= {
        RESTATED_ITEM: str(item),
        RESTATED_INVOICE: str(restated.invoice.uuid),
        RESTATED_MONTH: month,
    }
    changed = {
        "uuid": identifiers.difference_uuid(item, invoice),
        "invoice": invoice,
        "name": record.name.removesuffix(suffix) + suffix,
        "unit_price": price,
        "quantity": Decimal(1),
        "price": price,
        "start": period.start,
        "end": period.end,
        "details": details,
    }
    return InvoiceItemRecord.model_validate(dict(record) | changed)
