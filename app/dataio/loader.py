"""Stores records, by UUID, in one transaction: what is new is created, what differs is updated.

    async with importing(database, settings) as loader:
        await loader.add(record)

A record comes after those that it names. Batches are written kind by kind, so nothing has to fit
into memory; rows are created in the order of their records.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from decimal import Decimal
from typing import Final
from uuid import UUID

from sqlalchemy import delete, exists, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from app.audit.actor import Actor
from app.audit.writer import audited_transaction
from app.billing import money
from app.billing.currencies import Currency, get_currency
from app.billing.enums import DeliveryState
from app.database import import_lock, timeouts
from app.database.engine import Database
from app.dataio import errors
from app.dataio.audit_records import HistoryImport
from app.dataio.credit_offerings import CreditOfferings
from app.dataio.import_report import FAULTS_TOLD, BadRecords, Fault, ImportRunning, Report
from app.dataio.proof_files import ProofFiles, WrongProof
from app.dataio.records import (
    CustomerCredit,
    Delivery,
    HistoryChange,
    HistoryEntry,
    Invoice,
    InvoiceItem,
    Payment,
    Record,
)
from app.dataio.registry import KIND_OF, KINDS, Kind
from app.dataio.staging import JUST_IMPORTED, Staging, Written
from app.invoices.actions.set_currency import use_currency
from app.invoices.models import Invoice as InvoiceRow
from app.invoices.models import InvoiceItem as InvoiceItemRow
from app.payments.proofs import ProofStore
from app.settings import Settings

_ACTOR: Final = Actor("import")
BATCH: Final = 5000
"""Records of one kind that are written at once."""
BATCH_BYTES: Final = 16 * 1024 * 1024
"""Everything that waits is written when its lines have so many bytes; as many are read ahead."""
_STAGING: Final = {kind: Staging(kind) for kind in KINDS}
NOT_SENT: Final = "Was not sent yet when it was exported."


@asynccontextmanager
async def importing(
    database: Database,
    settings: Settings,
    actor: Actor = _ACTOR,
    *,
    keep_good: bool = False,
) -> AsyncIterator["Loader"]:
    """Yield a loader in a transaction of its own, which is recorded and commits at the end.

    Raises `ImportRunning` if another import runs, `WrongCurrency` if the invoices in the database
    are in another currency, and `BadRecords`, with nothing kept, if a record was wrong, unless
    `keep_good` asks to keep the others.
    """
    loader: Loader | None = None
    try:
        async with audited_transaction(database, settings.audit_key, actor) as connection:
            if not await import_lock.try_begin_import(connection):
                raise ImportRunning("Another import is running on this database.")
            await timeouts.disable_timeouts(connection)
            await import_lock.lock_out_jobs(connection)
            currency = get_currency(settings.currency)
            await use_currency(connection, currency)
            store = ProofStore(settings.proof_dir, settings.proof_max_bytes)
            loader = Loader(connection, store, currency, keep_good=keep_good)
            yield loader
            await loader.finish()
    except BaseException:
        if loader is not None:
            await loader.proofs.drop_all()
        raise


@dataclass
class _Waiting:
    record: Record
    line: int
    proof: tuple[object, ...] = ()


class Loader:
    """Takes records one by one and writes them in batches over one connection."""

    def __init__(
        self,
        connection: AsyncConnection,
        store: ProofStore,
        currency: Currency,
        *,
        keep_good: bool = False,
    ) -> None:
        self.connection = connection
        self.currency = currency
        self.report = Report()
        self._history = HistoryImport(connection, self.report)
        self.proofs = ProofFiles(connection, store)
        self._keep_good = keep_good
        self._prepared: set[Kind] = set()
        self._waiting: dict[Kind, list[_Waiting]] = {kind: [] for kind in KINDS}
        self._waiting_bytes = 0
        self._line = 0

    async def add(self, record: Record, line: int | None = None, *, size: int = 0) -> None:
        """Take a record from a line of its source, by default the next one.

        Lines only rise. `size` is the line's length in bytes, so that long ones wait in smaller
        batches.
        """
        self._line = self._line + 1 if line is None else line
        if isinstance(record, HistoryEntry | HistoryChange):
            self._refuse_history(await self._history.add(record, self._line))
            return
        waiting = _Waiting(record, self._line)
        if wrong_amount := _wrong_amount(record, self.currency):
            await self._refuse(waiting, wrong_amount)
            return
        if isinstance(record, Payment) and record.proof is not None:
            try:
                waiting.proof = await self.proofs.take(record)
            except WrongProof as wrong:
                await self._refuse(waiting, str(wrong))
                return
            waiting.record = record.model_copy(update={"proof": None})
            size = 0
        elif isinstance(record, Delivery):
            waiting.record = _as_history(record)
        kind = KIND_OF[type(record)]
        self._waiting[kind].append(waiting)
        self._waiting_bytes += size
        if self._waiting_bytes >= BATCH_BYTES:
            await self.flush()
        elif len(self._waiting[kind]) >= BATCH:
            await self.flush(kind)

    def refuse(self, fault: Fault) -> None:
        """Note a line that is no record; raises `BadRecords` when enough are noted."""
        self.report.refuse(fault)
        if not self._keep_good and self.report.fault_count >= FAULTS_TOLD:
            raise BadRecords(self.report)

    async def flush(self, upto: Kind | None = None) -> None:
        """Write what waits, up to a kind in their order, by default everything."""
        self._refuse_history(await self._history.flush())
        for kind in KINDS:
            waiting, self._waiting[kind] = self._waiting[kind], []
            if waiting:
                await self._write(kind, waiting)
            if kind is upto:
                return
        self._waiting_bytes = 0

    async def finish(self) -> None:
        """Write what waits and do what is done once; raises `BadRecords`."""
        await self.flush()
        if self.report.fault_count and not self._keep_good:
            raise BadRecords(self.report)
        await self._history.note_heads()
        noted = (
            update(InvoiceRow)
            .where(InvoiceRow.imported_revision == JUST_IMPORTED)
            .values(imported_revision=InvoiceRow.revision)
        )
        if "invoice" in self.report.counts:
            await self.connection.execute(noted)
            await self.connection.execute(text(_RAISE_NUMBERS))

    async def drop_other_items(self, invoices: Sequence[UUID]) -> int:
        """Delete the items of these invoices that were not among the records; return how many."""
        await self.flush()
        staging = await self._staging(KIND_OF[InvoiceItem])
        others = delete(InvoiceItemRow).where(
            InvoiceItemRow.invoice_id.in_(
                select(InvoiceRow.id).where(InvoiceRow.uuid.in_(invoices))
            ),
            # Not NOT IN, which PostgreSQL answers row by row once the list outgrows its memory.
            ~exists().where(staging.seen.c.uuid == InvoiceItemRow.uuid),
        )
        return (await self.connection.execute(others)).rowcount

    async def note_imported(self, invoices: Sequence[UUID]) -> None:
        """Note that these invoices are now as their source has them."""
        await self.flush()
        await self.connection.execute(
            update(InvoiceRow)
            .where(
                InvoiceRow.uuid.in_(invoices),
                InvoiceRow.imported_revision.is_distinct_from(InvoiceRow.revision),
            )
            .values(imported_revision=InvoiceRow.revision)
        )

    def _refuse_history(self, faults: Sequence[Fault]) -> None:
        for fault in faults:
            self.refuse(fault)

    async def _refuse(self, waiting: _Waiting, reason: str) -> None:
        record = waiting.record
        if waiting.proof:
            await self.proofs.drop(str(waiting.proof[0]))
        self.refuse(Fault(waiting.line, reason, record.kind, record.uuid))

    async def _staging(self, kind: Kind) -> Staging:
        if kind not in self._prepared:
            await _STAGING[kind].prepare(self.connection)
            self._prepared.add(kind)
        return _STAGING[kind]

    async def _write(self, kind: Kind, batch: list[_Waiting]) -> None:
        failed = await self._attempt(kind, batch)
        # One row may have stood in the way of another that came before it, and have moved since.
        while failed:
            again = [pair for one, _ in failed for pair in await self._attempt(kind, [one])]
            if len(again) == len(failed):
                break
            failed = again
        for waiting, reason in failed:
            await self._refuse(waiting, reason)

    async def _attempt(self, kind: Kind, batch: list[_Waiting]) -> list[tuple[_Waiting, str]]:
        """Write a batch, or what is good of it; return what the database refused, and why."""
        await (await self._staging(kind)).clear(self.connection)
        try:
            async with self.connection.begin_nested():
                written = await self._write_rows(kind, batch)
        except Exception as error:
            reason = errors.reason(error)
            if reason is None:
                raise
            if len(batch) == 1:
                return [(batch[0], reason)]
            middle = len(batch) // 2
            first = await self._attempt(kind, batch[:middle])
            if len(first) >= FAULTS_TOLD and not self._keep_good:
                return first
            return first + await self._attempt(kind, batch[middle:])
        counts = self.report.of(kind.name)
        counts.created += written.created
        counts.updated += len(written.updated)
        counts.unchanged += written.existing - len(written.updated)
        await self._refuse_some(batch, written)
        return []

    async def _refuse_some(self, batch: list[_Waiting], written: Written) -> None:
        if not (written.refused or written.unknown):
            return
        for waiting in batch:
            if waiting.line in written.refused:
                await self._refuse(waiting, written.refused[waiting.line])
            elif waiting.line in written.unknown:
                field = written.unknown[waiting.line]
                named = getattr(waiting.record, field)
                await self._refuse(waiting, f"there is no {field.replace('_', ' ')} {named}")

    async def _write_rows(self, kind: Kind, batch: list[_Waiting]) -> Written:
        staging = await self._staging(kind)
        if kind.model is CustomerCredit:
            return await self._write_credits(staging, batch)
        return await staging.write(self.connection, [_row(kind, each) for each in batch])

    async def _write_credits(self, staging: Staging, batch: list[_Waiting]) -> Written:
        offerings = CreditOfferings(self.connection)
        unknown = await offerings.look(_credits(batch))
        good = [each for each in batch if each.record.uuid not in unknown]
        written = await staging.write(self.connection, [_row(staging.kind, each) for each in good])
        left_out = written.refused.keys() | written.unknown.keys()
        kept = [each for each in good if each.line not in left_out]
        changed = await offerings.store(_credits(kept))
        lines = {each.line for each in kept if each.record.uuid in changed}
        written.updated = sorted(lines.union(written.updated))
        for each in batch:
            if each.record.uuid in unknown:
                written.refused[each.line] = f"there is no offering {unknown[each.record.uuid]}"
        return written


def _credits(batch: list[_Waiting]) -> list[CustomerCredit]:
    return [each.record for each in batch if isinstance(each.record, CustomerCredit)]


def _row(kind: Kind, waiting: _Waiting) -> list[object]:
    record = waiting.record
    row = kind.values(record, waiting.proof)
    if isinstance(record, Invoice):
        row.append(record.unchanged_since_import)
    row.append(waiting.line)
    return row


def _wrong_amount(record: Record, currency: Currency) -> str | None:
    """Return why an amount of a record is not one of the currency; None if it is."""
    match record:
        case Payment():
            name, amount = "sum", record.sum
        case InvoiceItem(price=Decimal() as price):
            name, amount = "price", price
        case _:
            return None
    if not money.fits_smallest_unit(amount, currency):
        return f"{name}: {currency.code} has {currency.decimals} decimals, not more"
    if isinstance(record, InvoiceItem) and not money.is_near_product(
        amount, record.unit_price, record.quantity, currency
    ):
        return f"price: it is more than {currency.smallest_unit} from unit_price times quantity"
    return None


def _as_history(delivery: Delivery) -> Delivery:
    """Return a delivery that is over: what was not sent elsewhere is not sent from here."""
    if delivery.state not in (DeliveryState.PENDING, DeliveryState.SENDING):
        return delivery
    return delivery.model_copy(
        update={
            "state": DeliveryState.FAILED,
            "next_attempt_at": None,
            "last_error": NOT_SENT,
        }
    )


_RAISE_NUMBERS = """
SELECT setval('invoice_numbers', highest.number)
FROM invoice_numbers AS numbers, (SELECT max(number) AS number FROM invoices) AS highest
WHERE highest.number >= numbers.last_value + numbers.is_called::int
"""
