"""Stores records by UUID in one transaction: new ones are inserted, different ones are updated.

    async with import_transaction(database, settings) as loader:
        await loader.add(record)

A record must follow the records that it names. The loader writes in batches of one kind, so that
memory use does not grow with the import. Rows are created in the order of their records.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Final
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from app.audit.actor import Actor
from app.audit.writer import audited_transaction
from app.credit_notes.repository import find_exceeded
from app.database import import_lock, timeouts
from app.database.engine import Database
from app.database.large_statements import raise_work_memory
from app.database.statistics import analyze
from app.dataio.audit_import import AuditImport
from app.dataio.database_errors import rejection_reason
from app.dataio.document_import import DocumentImport
from app.dataio.import_report import (
    MAX_LISTED_REJECTIONS,
    ImportReport,
    ImportRunning,
    RecordsRejected,
    RejectedRecord,
)
from app.dataio.imported_proofs import ImportedProofs, InvalidProof
from app.dataio.prepared_records import PreparedRecord, Row, has_wide_tax, prepare, row_of
from app.dataio.records.audit import AuditRecord
from app.dataio.records.documents import DocumentRecord
from app.dataio.records.invoices import InvoiceItemRecord, InvoiceRecord
from app.dataio.records.payments import PaymentRecord
from app.dataio.records.record import Record
from app.dataio.registry import RECORD_KIND_BY_MODEL, RECORD_KINDS, RecordKind
from app.dataio.staging import StagingTable
from app.invoices.actions.freeze import freeze_imported
from app.invoices.actions.set_currency import use_currency
from app.invoices.jobs.represent_issued import REPRESENT_ISSUED
from app.invoices.repository import imports
from app.invoices.repository.documents import replace_documents
from app.outbox import repository as outbox
from app.payments.proof_store.opening import open_store
from app.payments.proof_store.store import ProofStore
from app.settings import Settings

_ACTOR: Final = Actor("import")
BATCH_RECORDS: Final = 5000
"""Records of one kind in one batch."""
BATCH_BYTES: Final = 16 * 1024 * 1024
"""The loader writes all queued records once their lines have this size. Also the size of the
prefetched lines."""
_ANALYZED_RECORDS: Final = 10_000
"""The loader collects statistics if it has created this many rows."""
_ANALYZED_COLUMNS: Final = (
    ("invoices", ("id", "state", "invoice_date", "document_version")),
    ("invoice_items", ("invoice_id",)),
    ("invoice_changes", ("change", "invoice_uuid")),
    ("subject_changes", ("change", "subject_uuid", "kind")),
)
"""The columns by which the loader freezes invoices and seals its changes."""
_STAGING_TABLES: Final = {kind: StagingTable(kind) for kind in RECORD_KINDS}


@asynccontextmanager
async def import_transaction(
    database: Database,
    settings: Settings,
    actor: Actor = _ACTOR,
    *,
    keep_good: bool = False,
) -> AsyncIterator["Loader"]:
    """Yield a loader in its own audited transaction, which commits at the end.

    Raises `ImportRunning` if another import runs, and `WrongCurrency` if the stored invoices are
    in another currency. Raises `RecordsRejected`, and rolls back, if a record was rejected, unless
    `keep_good` asks to store the others.
    """
    loader: Loader | None = None
    try:
        async with audited_transaction(database, settings.audit_key, actor) as connection:
            if not await import_lock.try_begin_import(connection):
                raise ImportRunning("Another import is running on this database.")
            await timeouts.disable_timeouts(connection)
            await raise_work_memory(connection)
            await import_lock.lock_out_jobs(connection)
            await use_currency(connection, settings.currency)
            await replace_documents(connection)
            loader = Loader(connection, open_store(settings), settings, keep_good=keep_good)
            yield loader
            await loader.finish()
    except BaseException:
        if loader is not None:
            await loader.proofs.remove_all()
        raise


class Loader:
    """Queues records and writes them in batches over one connection."""

    def __init__(
        self,
        connection: AsyncConnection,
        store: ProofStore,
        settings: Settings,
        *,
        keep_good: bool = False,
    ) -> None:
        self.connection = connection
        self.currency = settings.currency
        self._settings = settings
        self.report = ImportReport()
        self.proofs = ImportedProofs(connection, store)
        self._audit = AuditImport(connection, self.report)
        self._documents = DocumentImport(connection, self.report)
        self._keep_good = keep_good
        self._created_tables: set[RecordKind] = set()
        self._queues: dict[RecordKind, list[Row]] = {kind: [] for kind in RECORD_KINDS}
        self._proof_keys: dict[int, str] = {}
        """The stored proofs of queued payments, by line."""
        self._queued_bytes = 0
        self._line = 0
        self._has_wide_taxes = False

    async def add(self, record: Record, line: int | None = None, *, size: int = 0) -> None:
        """Queue a record from a line of its source, by default the next line.

        Line numbers must ascend. `size` is the length of the line in bytes: long lines make
        smaller batches.
        """
        number = self._line + 1 if line is None else line
        await self.add_prepared(prepare(record, number, size, self.currency))

    async def add_prepared(self, prepared: PreparedRecord) -> None:
        """Queue a prepared record. Line numbers must ascend."""
        record, self._line, size, row, reason = prepared
        if isinstance(record, AuditRecord):
            self._reject_all(await self._audit.add(record, self._line))
            return
        if isinstance(record, DocumentRecord):
            await self._documents.add(record, self._line)
            await self._count_bytes(size)
            return
        if not self._has_wide_taxes and has_wide_tax(record):
            await imports.widen_taxes(self.connection)
            self._has_wide_taxes = True
        kind = RECORD_KIND_BY_MODEL[type(record)]
        if reason is None and row is None and isinstance(record, PaymentRecord):
            try:
                proof = await self.proofs.store(record)
            except InvalidProof as error:
                reason = str(error)
            else:
                self._proof_keys[self._line] = str(proof[0])
                row = row_of(record, self._line, proof)
                size = 0  # the proof is in a file
        if row is None:
            self.reject(RejectedRecord(self._line, str(reason), kind.name, record.uuid))
            return
        self._queues[kind].append(row)
        await self._count_bytes(size)
        if len(self._queues[kind]) >= BATCH_RECORDS:
            await self.flush(kind)

    async def write_rows(self, model: type[Record], rows: Sequence[Row]) -> None:
        """Write records of one kind, after all that are queued.

        `rows` have the values of `RecordKind.values`, which their source has checked as the model
        does. No two records of the import have the same UUID.
        """
        await self.flush()
        kind = RECORD_KIND_BY_MODEL[model]
        numbered = [(*row, line) for line, row in enumerate(rows, self._line + 1)]
        self._line += len(rows)
        await self._write(kind, numbered, are_distinct=True)

    async def _count_bytes(self, size: int) -> None:
        self._queued_bytes += size
        if self._queued_bytes >= BATCH_BYTES:
            await self.flush()

    def reject(self, record: RejectedRecord) -> None:
        """Report a line that is not a valid record.

        Raises `RecordsRejected` once the report lists as many as it can.
        """
        self.report.reject(record)
        if not self._keep_good and self.report.rejected_count >= MAX_LISTED_REJECTIONS:
            raise RecordsRejected(self.report)

    async def flush(self, last: RecordKind | None = None) -> None:
        """Write the queued records of each kind up to `last`, by default of every kind."""
        self._reject_all(await self._audit.flush())
        for kind in RECORD_KINDS:
            queue, self._queues[kind] = self._queues[kind], []
            if queue:
                await self._write(kind, queue)
            if kind is last:
                return
        await self._documents.flush()
        self._queued_bytes = 0

    async def finish(self) -> None:
        """Write the queued records and the final statements; raises `RecordsRejected`."""
        await self.flush()
        await self._reject_exceeded_invoices()
        self._reject_all(await self._documents.store())
        if self.report.rejected_count and not self._keep_good:
            raise RecordsRejected(self.report)
        if self.report.created >= _ANALYZED_RECORDS:
            await analyze(self.connection, _ANALYZED_COLUMNS)
        await self._audit.store_chain_heads()
        await self._freeze_invoices()
        if "invoice" in self.report.counts:
            await imports.finish_inserted_invoices(self.connection)

    async def _reject_exceeded_invoices(self) -> None:
        """Raise `RecordsRejected` if an invoice would have less than its credit notes give back.

        The rows are written, so that nothing can be kept.
        """
        exceeded = {each.uuid: each.reason for each in await find_exceeded(self.connection)}
        if not exceeded:
            return
        kind = RECORD_KIND_BY_MODEL[InvoiceRecord]
        lines: dict[UUID, int] = {}
        if kind in self._created_tables:
            seen = _STAGING_TABLES[kind].seen.c
            found = select(seen.uuid, seen.line).where(seen.uuid.in_([*exceeded]))
            lines = {row.uuid: row.line for row in await self.connection.execute(found)}
        for uuid, reason in exceeded.items():
            # An item may have come without its invoice.
            line = lines.get(uuid, self._line)
            self.report.reject(RejectedRecord(line, reason, kind.name, uuid))
        raise RecordsRejected(self.report)

    async def _freeze_invoices(self) -> None:
        kind = RECORD_KIND_BY_MODEL[InvoiceRecord]
        seen = _STAGING_TABLES[kind].seen if kind in self._created_tables else None
        uuids = None if seen is None else select(seen.c.uuid)
        if await freeze_imported(self.connection, self._settings, uuids):
            await outbox.record_job(self.connection, REPRESENT_ISSUED, {})

    async def delete_items_not_imported(self, invoices: Sequence[UUID]) -> int:
        """Delete those items of invoices that no record named; return their number."""
        await self.flush()
        staging = await self._staging_table(RECORD_KIND_BY_MODEL[InvoiceItemRecord])
        return await imports.delete_items_except(self.connection, invoices, staging.seen.c.uuid)

    def _reject_all(self, records: Sequence[RejectedRecord]) -> None:
        for record in records:
            self.reject(record)

    async def _reject_row(self, kind: RecordKind, row: Row, reason: str) -> None:
        line = row[-1]
        if key := self._proof_keys.get(line):
            await self.proofs.remove(key)
        self.reject(RejectedRecord(line, reason, kind.name, row[0]))

    async def _staging_table(self, kind: RecordKind) -> StagingTable:
        if kind not in self._created_tables:
            await _STAGING_TABLES[kind].create(self.connection)
            self._created_tables.add(kind)
        return _STAGING_TABLES[kind]

    async def _write(
        self, kind: RecordKind, batch: Sequence[Row], *, are_distinct: bool = False
    ) -> None:
        rejected = await self._try_to_write(kind, batch, are_distinct=are_distinct)
        # A row may have conflicted with one that a later record of the batch has changed since.
        while rejected:
            retried = [
                again for row, _ in rejected for again in await self._try_to_write(kind, [row])
            ]
            if len(retried) == len(rejected):
                break
            rejected = retried
        for row, reason in rejected:
            await self._reject_row(kind, row, reason)

    async def _try_to_write(
        self, kind: RecordKind, batch: Sequence[Row], *, are_distinct: bool = False
    ) -> list[tuple[Row, str]]:
        """Write a batch; return the rows that the database rejected, with the reasons.

        Halves a batch that fails until it finds the rows that the database rejects. `are_distinct`
        is that of `StagingTable.write`.
        """
        staging = await self._staging_table(kind)
        await staging.truncate(self.connection)
        try:
            async with self.connection.begin_nested():
                result = await staging.write(self.connection, batch, are_distinct=are_distinct)
        except Exception as error:
            reason = rejection_reason(error)
            if reason is None:
                raise
            if len(batch) == 1:
                return [(batch[0], reason)]
            middle = len(batch) // 2
            first = await self._try_to_write(kind, batch[:middle])
            if len(first) >= MAX_LISTED_REJECTIONS and not self._keep_good:
                return first
            return first + await self._try_to_write(kind, batch[middle:])
        counts = self.report.counts_for(kind.name)
        counts.created += result.created
        counts.updated += len(result.updated)
        counts.unchanged += result.existing - len(result.updated)
        for row in batch:
            if reason := result.rejected.get(row[-1]):
                await self._reject_row(kind, row, reason)
        return []
