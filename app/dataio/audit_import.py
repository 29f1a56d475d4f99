"""Exports and imports audit entries and changes unmodified, so that the hash chains stay valid.

An import takes them only for invoices that have no audit entries here: the entries of two databases
on one invoice are not one chain. The changes of the import itself become the next entry. The audit
records precede the invoices in an export, since an invoice stores the head of its chain.
"""

from collections.abc import Sequence
from operator import attrgetter
from typing import Final

from sqlalchemy import TextClause, text
from sqlalchemy.ext.asyncio import AsyncConnection

from app.audit.record_tables import INVOICES
from app.dataio.database_errors import rejection_reason
from app.dataio.import_report import ImportReport, RejectedRecord
from app.dataio.records import HistoryChangeRecord, HistoryEntryRecord, kind_of
from app.dataio.staging import copy_rows

AuditRecord = HistoryEntryRecord | HistoryChangeRecord
_BATCH_RECORDS: Final = 5000

_TABLES: Final[dict[type[AuditRecord], str]] = {
    HistoryEntryRecord: "invoice_history",
    HistoryChangeRecord: "invoice_changes",
}
_OTHER_NAMES: Final = {
    "uuid": "invoice_uuid",
    "user": "user_uuid",
    "impersonator": "impersonator_uuid",
    "of": "kind",
}
_COLUMNS: Final = {
    model: {
        field: _OTHER_NAMES.get(field, field) for field in model.model_fields if field != "kind"
    }
    for model in _TABLES
}
"""The column of each field. The head of a chain is a column of the invoice instead."""
_HASHES: Final = ("previous", "hash", "head")
_EXPORTED: Final = {
    **{field: f"encode(e.{field}, 'hex')" for field in _HASHES},
    **{field: f"e.{field}::text" for field in ("data", "was", "became")},
    "head": "CASE WHEN i.history_count = e.sequence THEN encode(i.history_head, 'hex') END",
}


def _select_lines(model: type[AuditRecord]) -> TextClause:
    fields = ", ".join(
        f'{_EXPORTED.get(field, f"e.{column}")} AS "{field}"'
        for field, column in _COLUMNS[model].items()
    )
    return text(f"""
SELECT row_to_json(record)::text AS line
FROM (
    SELECT '{kind_of(model)}' AS kind, {fields}
    FROM {_TABLES[model]} AS e LEFT JOIN invoices AS i ON i.uuid = e.invoice_uuid
    ORDER BY e.id
) AS record
""")  # noqa: S608 - made of constants


EXPORT_LINES: Final = tuple(map(_select_lines, _TABLES))
"""Statements that select the lines of an export."""


class AuditImport:
    """Writes audit records in batches, in their order."""

    def __init__(self, connection: AsyncConnection, report: ImportReport) -> None:
        self._connection = connection
        self._report = report
        self._queues: dict[type[AuditRecord], list[tuple[object, ...]]] = {
            model: [] for model in _TABLES
        }
        self._has_tables = False

    async def add(self, record: AuditRecord, line: int) -> list[RejectedRecord]:
        """Queue a record; return the rejected batches, of which nothing is stored."""
        queue = self._queues[type(record)]
        queue.append((*_values(record), line))
        return await self.flush() if len(queue) >= _BATCH_RECORDS else []

    async def flush(self) -> list[RejectedRecord]:
        """Write the queued records; return the rejected batches."""
        rejected = []
        for model in _TABLES:
            queue, self._queues[model] = self._queues[model], []
            if queue:
                rejected += await self._write(model, queue)
        return rejected

    async def store_chain_heads(self) -> None:
        """Store the heads of the imported hash chains in the invoices, which must exist by then."""
        if self._has_tables:
            await self._connection.execute(text(_STORE_CHAIN_HEADS))

    async def _write(
        self, model: type[AuditRecord], rows: Sequence[tuple[object, ...]]
    ) -> list[RejectedRecord]:
        if not self._has_tables:
            for statement in _CREATE_TABLES:
                await self._connection.execute(text(statement))
            self._has_tables = True
        table, columns = _TABLES[model], (*_COLUMNS[model].values(), "line")
        execute = self._connection.execute
        await execute(text(f"TRUNCATE import_{table}"))
        try:
            async with self._connection.begin_nested():
                await copy_rows(self._connection, f"import_{table}", rows, columns)
                await execute(_select_invoices(table))
                created = (await execute(_insert(model))).rowcount
                if model is HistoryEntryRecord:
                    await execute(text(_SET_HEADS))
        except Exception as error:
            reason = rejection_reason(error)
            if reason is None:
                raise
            first, last = int(str(rows[0][-1])), rows[-1][-1]
            return [RejectedRecord(first, f"audit records up to line {last}: {reason}")]
        counts = self._report.counts_for(kind_of(model))
        counts.created += created
        counts.unchanged += len(rows) - created
        return []


def _values(record: AuditRecord) -> tuple[object, ...]:
    """Return the values of the temporary table's columns, except for the line."""
    values: tuple[object, ...] = _GET_FIELDS[type(record)](record)
    if isinstance(record, HistoryChangeRecord):
        return values
    hashes = (record.previous, record.hash, record.head)
    return values[:-3] + tuple(None if each is None else bytes.fromhex(each) for each in hashes)


_GET_FIELDS: Final = {model: attrgetter(*fields) for model, fields in _COLUMNS.items()}
_CREATE_TABLES: Final = (
    """
CREATE TEMPORARY TABLE import_invoice_history ON COMMIT DROP AS
SELECT *, NULL::bytea AS head, NULL::bigint AS line FROM invoice_history WITH NO DATA
""",
    """
CREATE TEMPORARY TABLE import_invoice_changes ON COMMIT DROP AS
SELECT *, NULL::bigint AS line FROM invoice_changes WITH NO DATA
""",
    # The invoices of which this database has changes that no entry seals yet.
    f"""
CREATE TEMPORARY TABLE import_history_unsealed ON COMMIT DROP AS
SELECT DISTINCT invoice_uuid FROM ({INVOICES.unsealed}) AS unsealed
""",  # noqa: S608 - made of constants
    # The invoices whose audit records this import takes, and the heads of their chains.
    """
CREATE TEMPORARY TABLE import_history_invoice (
    invoice_uuid uuid PRIMARY KEY, history_count bigint, history_head bytea
) ON COMMIT DROP
""",
)


def _select_invoices(table: str) -> TextClause:
    return text(f"""
INSERT INTO import_history_invoice (invoice_uuid)
SELECT DISTINCT invoice_uuid FROM import_{table} AS imported
WHERE NOT EXISTS (
    SELECT FROM invoice_history AS e WHERE e.invoice_uuid = imported.invoice_uuid
) AND NOT EXISTS (
    SELECT FROM import_history_unsealed AS u WHERE u.invoice_uuid = imported.invoice_uuid
)
ON CONFLICT DO NOTHING
""")  # noqa: S608 - made of constants


def _insert(model: type[AuditRecord]) -> TextClause:
    table = _TABLES[model]
    columns = ", ".join(column for column in _COLUMNS[model].values() if column != "head")
    return text(f"""
INSERT INTO {table} ({columns})
SELECT {columns} FROM import_{table} JOIN import_history_invoice USING (invoice_uuid) ORDER BY line
""")  # noqa: S608 - made of constants


_SET_HEADS: Final = """
UPDATE import_history_invoice AS chain
SET history_count = imported.sequence, history_head = imported.head
FROM import_invoice_history AS imported
WHERE imported.invoice_uuid = chain.invoice_uuid AND imported.head IS NOT NULL
"""
_STORE_CHAIN_HEADS: Final = """
UPDATE invoices
SET history_count = chain.history_count, history_head = chain.history_head
FROM import_history_invoice AS chain
WHERE invoices.uuid = chain.invoice_uuid AND invoices.history_count = 0
    AND chain.history_count IS NOT NULL
"""
