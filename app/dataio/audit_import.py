"""Exports and imports audit entries and changes unmodified, so that the hash chains stay valid.

An import takes them only for invoices that have no audit entries here: the entries of two databases
on one invoice are not one chain. The changes of the import itself become the next entry. The audit
records precede the invoices in an export, since an invoice stores the head of its chain.
"""

from collections.abc import Sequence
from operator import attrgetter
from typing import Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from app.audit.verify import UNSEALED
from app.dataio.copy_rows import copy_rows
from app.dataio.database_errors import rejection_reason
from app.dataio.import_report import ImportReport, RejectedRecord
from app.dataio.records import HistoryChangeRecord, HistoryEntryRecord

AuditRecord = HistoryEntryRecord | HistoryChangeRecord
_MODELS: Final = (HistoryEntryRecord, HistoryChangeRecord)
_BATCH_RECORDS: Final = 5000

EXPORT_LINES: Final = (
    text("""
SELECT row_to_json(record)::text AS line
FROM (
    SELECT 'history_entry' AS kind, e.invoice_uuid AS uuid, e.change, e.sequence, e.recorded_at,
           e.operation, e.user_uuid AS "user", e.username, e.token, e.request_id,
           e.impersonator_uuid AS impersonator, e.impersonator_username, e.comment,
           e.data::text, encode(e.previous, 'hex') AS previous, encode(e.hash, 'hex') AS hash,
           CASE WHEN i.history_count = e.sequence THEN encode(i.history_head, 'hex') END AS head
    FROM invoice_history AS e LEFT JOIN invoices AS i ON i.uuid = e.invoice_uuid
    ORDER BY e.id
) AS record
"""),
    text("""
SELECT row_to_json(record)::text AS line
FROM (
    SELECT 'history_change' AS kind, invoice_uuid AS uuid, change, kind AS "of", subject,
           was::text, became::text
    FROM invoice_changes
    ORDER BY id
) AS record
"""),
)
"""Statements that select the lines of an export."""


class AuditImport:
    """Writes audit records in batches, in their order."""

    def __init__(self, connection: AsyncConnection, report: ImportReport) -> None:
        self._connection = connection
        self._report = report
        self._queues: dict[type[AuditRecord], list[tuple[object, ...]]] = {
            model: [] for model in _MODELS
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
        for model in _MODELS:
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
        table, statements = _STATEMENTS[model]
        try:
            async with self._connection.begin_nested():
                await copy_rows(self._connection, table, rows)
                row_counts = [
                    (await self._connection.execute(text(statement))).rowcount
                    for statement in statements
                ]
        except Exception as error:
            reason = rejection_reason(error)
            if reason is None:
                raise
            first, last = int(str(rows[0][-1])), rows[-1][-1]
            return [RejectedRecord(first, f"audit records up to line {last}: {reason}")]
        created = row_counts[_INSERTION]
        counts = self._report.counts_for(str(model.model_fields["kind"].default))
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


_GET_FIELDS: Final = {
    model: attrgetter(*(field for field in model.model_fields if field != "kind"))
    for model in _MODELS
}
# The columns of the first two tables are the fields of their models, in the same order.
_CREATE_TABLES: Final = (
    """
CREATE TEMPORARY TABLE import_history_entry (
    invoice_uuid uuid, change uuid, sequence bigint, recorded_at timestamptz, operation text,
    user_uuid uuid, username text, token text, request_id text, impersonator_uuid uuid,
    impersonator_username text, comment text, data text, previous bytea, hash bytea,
    head bytea, line bigint
) ON COMMIT DROP
""",
    """
CREATE TEMPORARY TABLE import_history_change (
    invoice_uuid uuid, change uuid, kind text, subject uuid, was text, became text, line bigint
) ON COMMIT DROP
""",
    # The invoices of which this database has changes that no entry seals yet.
    f"""
CREATE TEMPORARY TABLE import_history_unsealed ON COMMIT DROP AS
SELECT DISTINCT invoice_uuid FROM ({UNSEALED}) AS unsealed
""",  # noqa: S608 - made of constants
    # The invoices whose audit records this import takes, and the heads of their chains.
    """
CREATE TEMPORARY TABLE import_history_invoice (
    invoice_uuid uuid PRIMARY KEY, history_count bigint, history_head bytea
) ON COMMIT DROP
""",
)


def _select_invoices(table: str) -> str:
    return f"""
INSERT INTO import_history_invoice (invoice_uuid)
SELECT DISTINCT invoice_uuid FROM {table} AS imported
WHERE NOT EXISTS (
    SELECT FROM invoice_history AS e WHERE e.invoice_uuid = imported.invoice_uuid
) AND NOT EXISTS (
    SELECT FROM import_history_unsealed AS u WHERE u.invoice_uuid = imported.invoice_uuid
)
ON CONFLICT DO NOTHING
"""  # noqa: S608 - made of constants


_INSERTION: Final = 1
"""The position of the statement that inserts the records."""
_STATEMENTS: Final[dict[type[AuditRecord], tuple[str, tuple[str, ...]]]] = {
    HistoryEntryRecord: (
        "import_history_entry",
        (
            _select_invoices("import_history_entry"),
            """
INSERT INTO invoice_history (
    change, invoice_uuid, sequence, recorded_at, operation, user_uuid, username, token,
    request_id, impersonator_uuid, impersonator_username, comment, data, previous, hash
)
SELECT change, invoice_uuid, sequence, recorded_at, operation, user_uuid, username, token,
       request_id, impersonator_uuid, impersonator_username, comment, data::jsonb, previous, hash
FROM import_history_entry JOIN import_history_invoice USING (invoice_uuid)
ORDER BY line
""",
            """
UPDATE import_history_invoice AS chain
SET history_count = imported.sequence, history_head = imported.head
FROM import_history_entry AS imported
WHERE imported.invoice_uuid = chain.invoice_uuid AND imported.head IS NOT NULL
""",
            "TRUNCATE import_history_entry",
        ),
    ),
    HistoryChangeRecord: (
        "import_history_change",
        (
            _select_invoices("import_history_change"),
            """
INSERT INTO invoice_changes (change, invoice_uuid, kind, subject, was, became)
SELECT change, invoice_uuid, kind, subject, was::jsonb, became::jsonb
FROM import_history_change JOIN import_history_invoice USING (invoice_uuid)
ORDER BY line
""",
            "TRUNCATE import_history_change",
        ),
    ),
}
"""By kind: the temporary table, and the statements to execute once the records are in it."""

_STORE_CHAIN_HEADS: Final = """
UPDATE invoices
SET history_count = chain.history_count, history_head = chain.history_head
FROM import_history_invoice AS chain
WHERE invoices.uuid = chain.invoice_uuid AND invoices.history_count = 0
    AND chain.history_count IS NOT NULL
"""
