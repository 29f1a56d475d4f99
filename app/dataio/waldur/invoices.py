"""Invoices with their items: each comes whole or not at all, and never over a change made here."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final
from uuid import UUID

from sqlalchemy import select

from app.catalogue.models import Offering, PlanComponent
from app.dataio import records
from app.dataio.loader import Loader
from app.dataio.waldur import billing_queries, local_state, mapping
from app.dataio.waldur.import_report import Report, why
from app.dataio.waldur.mapping import Row, public_id
from app.dataio.waldur.source import Source

INVOICES_AT_ONCE: Final = 500


class HalfInvoice(Exception):
    """The database refused a part of an invoice; nothing of the import is kept."""


@dataclass
class Whole:
    """An invoice and its items, mapped."""

    invoice: records.Invoice
    items: list[records.InvoiceItem] = field(default_factory=list)
    item_count: int = 0
    """Of all items, also those that could not be mapped."""
    problem: str = ""
    """Why it cannot be brought, where it cannot."""

    @property
    def uuid(self) -> UUID:
        """The invoice's."""
        return self.invoice.uuid

    def __str__(self) -> str:
        return f"number {self.invoice.number}"


class Invoices:
    """Brings the invoices, some hundreds at a time."""

    def __init__(
        self, source: Source, loader: Loader, report: Report, payment_interval_days: int
    ) -> None:
        self._source = source
        self._loader = loader
        self._report = report
        self._interval = payment_interval_days
        self._plan_components: set[UUID] = set()
        self._offerings: set[UUID] = set()
        self.seen: set[UUID] = set()
        """Every invoice that Waldur has."""
        self.kept: set[UUID] = set()
        """Those of them that stay as they are here, since they were changed here."""
        self.left_out: set[UUID] = set()
        """Those of them that could not be brought whole."""

    async def bring_all(self, progress: Callable[[str], None]) -> None:
        """Bring every invoice; what they refer to must be here.

        Raises HalfInvoice where the database refuses what every check let pass.
        """
        connection = self._loader.connection
        self._plan_components = set(await connection.scalars(select(PlanComponent.uuid)))
        self._offerings = set(await connection.scalars(select(Offering.uuid)))
        after = -1
        while True:
            rows = await self._source.all(
                billing_queries.invoices(self._source, after=after, limit=INVOICES_AT_ONCE)
            )
            if not rows:
                return
            await self._bring(rows)
            after = rows[-1]["id"]
            for _ in rows:
                progress("invoice")

    async def _bring(self, rows: Sequence[Row]) -> None:
        wholes = await self._read(rows)
        already = await local_state.invoices_here(
            self._loader.connection, [each.uuid for each in wholes]
        )
        free = []
        for whole in wholes:
            if already.get(whole.uuid):
                self._keep(whole)
            else:
                free.append(whole)
        self._report.removed["invoice"] += await local_state.make_room(
            self._loader.connection, [each.invoice for each in free]
        )
        await self._examine(free)
        good = []
        for whole in free:
            if whole.problem:
                self._leave_out(whole)
            else:
                good.append(whole)
        await self._load(good, [each.uuid for each in good if each.uuid in already])

    async def _read(self, rows: Sequence[Row]) -> list[Whole]:
        """Map the invoices that can be, with their items."""
        wholes: dict[int, Whole] = {}
        for row in rows:
            uuid: UUID | None = None
            try:
                uuid = public_id(row["uuid"])
                wholes[row["id"]] = Whole(mapping.invoice(mapping.readable(row), self._interval))
            except ValueError as error:
                if uuid is not None:
                    self.left_out.add(uuid)
                number = mapping.FIRST_NUMBER + row["id"]
                self._report.leave_out("invoice", why(error), f"number {number}")
            if uuid is not None:
                self.seen.add(uuid)
        async for row in self._source.rows(billing_queries.items(self._source, list(wholes))):
            whole = wholes[row["invoice_id"]]
            whole.item_count += 1
            try:
                whole.items.append(
                    mapping.item(
                        mapping.readable(row), whole.uuid, self._plan_components, self._offerings
                    )
                )
            except ValueError as error:
                whole.problem = f"its item {row['uuid']}: {why(error)}"
        return list(wholes.values())

    async def _examine(self, wholes: Sequence[Whole]) -> None:
        """Find what would keep an invoice from coming whole."""
        connection = self._loader.connection
        invoices = [each.invoice for each in wholes]
        items = [item for each in wholes for item in each.items]
        taken = await local_state.conflicts(connection, invoices)
        lost = await local_state.missing_references(connection, invoices)
        lost_items = await local_state.missing_references(connection, items)
        held = await local_state.held_items(connection, items)
        doubled = _repeated(invoices)
        for whole in wholes:
            problems = [
                whole.problem,
                taken.get(whole.uuid, ""),
                lost.get(whole.uuid, ""),
                doubled.get(whole.uuid, ""),
                *(
                    f"its item {item.uuid}: {lost_items[item.uuid]}"
                    for item in whole.items
                    if item.uuid in lost_items
                ),
                *(
                    f"its item {item.uuid} is on an invoice that was changed here"
                    for item in whole.items
                    if item.uuid in held
                ),
                "its items add up to more than an invoice can hold"
                if local_state.too_large(whole.items, self._loader.currency)
                else "",
            ]
            whole.problem = next(filter(None, problems), "")

    async def _load(self, wholes: Sequence[Whole], existing: list[UUID]) -> None:
        loader = self._loader
        await loader.flush()
        faults = loader.report.fault_count
        for whole in wholes:
            await loader.add(whole.invoice)
        for whole in wholes:
            for item in whole.items:
                await loader.add(item)
        await loader.flush()
        if loader.report.fault_count > faults:
            fault = loader.report.faults[-1]
            raise HalfInvoice(f"Nothing is kept: {fault.kind} {fault.uuid}: {fault.reason}.")
        if existing:
            self._report.removed["invoice_item"] += await loader.drop_other_items(existing)
            await loader.note_imported(existing)

    def _keep(self, whole: Whole) -> None:
        self.kept.add(whole.uuid)
        self._report.keep("invoice", "it was changed here", str(whole))
        self._report.keep("invoice_item", "its invoice was changed here", count=whole.item_count)

    def _leave_out(self, whole: Whole) -> None:
        self.left_out.add(whole.uuid)
        self._report.leave_out("invoice", whole.problem, str(whole))
        self._report.leave_out("invoice_item", "its invoice was left out", count=whole.item_count)


def _repeated(invoices: Sequence[records.Invoice]) -> dict[UUID, str]:
    """Tell which invoices are for a month that another one of the same batch is for."""
    first: dict[tuple[UUID, int, int], UUID] = {}
    found: dict[UUID, str] = {}
    for each in invoices:
        if first.setdefault((each.customer, each.year, each.month), each.uuid) != each.uuid:
            found[each.uuid] = "the customer has another invoice for this month"
    return found
