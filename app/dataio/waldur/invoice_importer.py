"""Imports invoices with all of their items, and never overwrites a change made in this service."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Final
from uuid import UUID

from sqlalchemy import select

from app.billing.currencies import Currency
from app.billing.money import item_price, with_tax
from app.catalogue.models import Offering, PlanComponent
from app.customers.models import Project
from app.dataio.loader import Loader
from app.dataio.records.invoices import InvoiceItemRecord, InvoiceRecord
from app.dataio.waldur import local_state, mapping, selects
from app.dataio.waldur.import_report import RowsByReason, WaldurImportReport, describe_mapping_error
from app.dataio.waldur.mapping import Row, parse_uuid
from app.dataio.waldur.source_database import WaldurDatabase
from app.invoices.repository import imports
from app.invoices.states import CHANGEABLE
from app.settings import Settings

_BATCH_INVOICES: Final = 500
_ROUNDING_OF_ITEM: Final = Decimal("0.02")


class IncompleteInvoice(Exception):
    """The database rejected a part of an invoice, and the import was rolled back."""


@dataclass
class MappedInvoice:
    """An invoice and its items as records."""

    invoice: InvoiceRecord
    state: str
    """The state in Waldur."""
    cached_cost: Decimal | None
    """The total with tax that Waldur stores beside the items."""
    items: list[InvoiceItemRecord] = field(default_factory=list)
    item_count: int = 0
    """The number of all items, including those that could not be mapped."""
    problem: str = ""
    """The reason why it cannot be imported; empty if it can."""

    @property
    def uuid(self) -> UUID:
        """The UUID of the invoice."""
        return self.invoice.uuid

    def is_cost_outdated(self, currency: Currency) -> bool:
        """Return whether the items of an issued invoice do not add up to the stored total.

        Waldur has changed items of issued invoices without their totals. It may round the price
        and the tax of each item, which is no difference.
        """
        if self.cached_cost is None or self.invoice.state in CHANGEABLE:
            return False
        if not self.cached_cost.is_finite():
            return True
        prices = (item_price(each.unit_price, each.quantity, currency) for each in self.items)
        cost = with_tax(sum(prices, Decimal(0)), self.invoice.tax_percent)
        return abs(cost - self.cached_cost) > _ROUNDING_OF_ITEM * (len(self.items) + 1)

    def __str__(self) -> str:
        return f"number {self.invoice.number}"


class InvoiceImporter:
    """Imports the invoices in batches."""

    def __init__(
        self,
        waldur: WaldurDatabase,
        loader: Loader,
        report: WaldurImportReport,
        settings: Settings,
    ) -> None:
        self._waldur = waldur
        self._loader = loader
        self._report = report
        self._interval = settings.payment_interval_days
        self._has_grace_period = settings.finalization_grace_hours > 0
        self._existing = mapping.ExistingRecords()
        self.seen: set[UUID] = set()
        """Every invoice of the Waldur."""
        self.preserved: set[UUID] = set()
        """Its invoices that were changed in this service and were left unchanged."""
        self.skipped: set[UUID] = set()
        """Its invoices that could not be imported with all of their items."""

    async def import_all(self, progress: Callable[[str], None]) -> None:
        """Import every invoice. The records that invoices name must be stored.

        Raises IncompleteInvoice if the database rejects a record that passed all checks.
        """
        connection = self._loader.connection
        names = await connection.execute(select(Project.uuid, Project.name))
        self._existing = mapping.ExistingRecords(
            set(await connection.scalars(select(PlanComponent.uuid))),
            set(await connection.scalars(select(Offering.uuid))),
            {row.uuid: row.name for row in names},
        )
        last_id = -1
        while rows := await self._waldur.all(
            selects.invoices(self._waldur, after=last_id, limit=_BATCH_INVOICES)
        ):
            await self._import_batch(rows)
            last_id = rows[-1]["id"]
            for _ in rows:
                progress("invoice")

    async def _import_batch(self, rows: Sequence[Row]) -> None:
        mapped = await self._map(rows)
        stored = await local_state.lock_stored_invoices(
            self._loader.connection, [each.uuid for each in mapped]
        )
        for invoice in mapped:
            if stored.get(invoice.uuid):
                self.preserved.add(invoice.uuid)
                _omit(self._report.preserved, invoice, "it was changed here", "changed here")
        unchanged = [each for each in mapped if each.uuid not in self.preserved]
        records = [each.invoice for each in unchanged]
        self._report.removed["invoice"] += await imports.delete_untouched_invoices(
            self._loader.connection,
            [(each.customer, each.year, each.month) for each in records],
            [each.number for each in records],
        )
        await self._check(unchanged)
        for invoice in unchanged:
            if invoice.problem:
                self.skipped.add(invoice.uuid)
                _omit(self._report.skipped, invoice, invoice.problem, "not imported")
        valid = [each for each in unchanged if not each.problem]
        await self._store(valid, [each.uuid for each in valid if each.uuid in stored])

    async def _map(self, rows: Sequence[Row]) -> list[MappedInvoice]:
        """Map the invoices that can be mapped, and their items."""
        invoices: dict[int, MappedInvoice] = {}
        for row in rows:
            uuid: UUID | None = None
            try:
                uuid = parse_uuid(row["uuid"])
                record = mapping.map_invoice(
                    mapping.require_readable(row),
                    self._interval,
                    has_grace_period=self._has_grace_period,
                )
                invoices[row["id"]] = MappedInvoice(record, row["state"], row["total_cost"])
            except ValueError as error:
                if uuid is not None:
                    self.skipped.add(uuid)
                number = mapping.FIRST_NUMBER + row["id"]
                self._report.skipped.add(
                    "invoice", describe_mapping_error(error), f"number {number}"
                )
            if uuid is not None:
                self.seen.add(uuid)
        async for row in self._waldur.rows(selects.items(self._waldur, list(invoices))):
            invoice = invoices[row["invoice_id"]]
            invoice.item_count += 1
            try:
                item = mapping.map_item(
                    mapping.require_readable(row),
                    invoice.uuid,
                    self._existing,
                )
                invoice.items.append(item)
            except ValueError as error:
                invoice.problem = f"its item {row['uuid']}: {describe_mapping_error(error)}"
        return list(invoices.values())

    async def _check(self, mapped: Sequence[MappedInvoice]) -> None:
        """Set the problems of the invoices that cannot be imported with all of their items."""
        connection = self._loader.connection
        invoices = [each.invoice for each in mapped]
        items = [item for each in mapped for item in each.items]
        problems_by_invoice = [
            await local_state.find_conflicts(connection, invoices),
            await local_state.find_missing_references(connection, invoices),
            _find_repeated_months(invoices),
        ]
        missing = await local_state.find_missing_references(connection, items)
        changed = await local_state.find_items_of_changed_invoices(connection, items)
        for each in mapped:
            own = [item.uuid for item in each.items]
            problems = [
                each.problem,
                *(problems.get(each.uuid, "") for problems in problems_by_invoice),
                *(f"its item {uuid}: {missing[uuid]}" for uuid in own if uuid in missing),
                *(
                    f"its item {uuid} is on an invoice that was changed here"
                    for uuid in own
                    if uuid in changed
                ),
                "its items add up to more than an invoice can hold"
                if local_state.exceeds_largest_total(each.items, self._loader.currency)
                else "",
            ]
            each.problem = next(filter(None, problems), "")

    async def _store(self, mapped: Sequence[MappedInvoice], existing: list[UUID]) -> None:
        loader = self._loader
        await loader.flush()
        rejected_before = loader.report.rejected_count
        for each in mapped:
            self._report_differences(each)
            await loader.add(each.invoice)
        for each in mapped:
            for item in each.items:
                await loader.add(item)
        await loader.flush()
        if loader.report.rejected_count > rejected_before:
            last = loader.report.rejected[-1]
            raise IncompleteInvoice(
                f"Nothing was imported: {last.kind} {last.uuid}: {last.reason}."
            )
        if existing:
            self._report.removed["invoice_item"] += await loader.delete_items_not_imported(existing)
            await imports.mark_unchanged_since_import(loader.connection, existing)

    def _report_differences(self, mapped: MappedInvoice) -> None:
        if mapped.state != mapped.invoice.state:
            difference = f"the state {mapped.state} is {mapped.invoice.state} here"
            self._report.adapted.add("invoice", difference, str(mapped))
        if mapped.is_cost_outdated(self._loader.currency):
            difference = "the items do not add up to the total that Waldur stores, and count here"
            self._report.adapted.add("invoice", difference, str(mapped))


def _omit(rows: RowsByReason, mapped: MappedInvoice, reason: str, participle: str) -> None:
    rows.add("invoice", reason, str(mapped))
    rows.add("invoice_item", f"its invoice was {participle}", count=mapped.item_count)


def _find_repeated_months(invoices: Sequence[InvoiceRecord]) -> dict[UUID, str]:
    """Return the invoices that have the customer and month of another one of the batch."""
    first: dict[tuple[UUID, int, int], UUID] = {}
    problems: dict[UUID, str] = {}
    for each in invoices:
        if first.setdefault((each.customer, each.year, each.month), each.uuid) != each.uuid:
            problems[each.uuid] = "the customer has another invoice for this month"
    return problems
