"""The record of changes goes out and comes in as it is, so that what seals it stays true.

It is taken only for invoices that have none here: two records of one invoice are not one chain.
What the import itself changes becomes the next entry. Lines of the record come before those of the
invoices, since what they tell came before.
"""

from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from app.audit.verify import UNSEALED
from app.dataio import errors
from app.dataio.import_report import Fault, Report
from app.dataio.records import HistoryChange, HistoryEntry

AnyHistory = HistoryEntry | HistoryChange
HISTORY: Final = (HistoryEntry, HistoryChange)
_BATCH: Final = 5000

LINES: Final = (
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
"""What selects the lines of an export."""


class HistoryImport:
    """Takes lines of the record, and writes them in batches in their order."""

    def __init__(self, connection: AsyncConnection, report: Report) -> None:
        self._connection = connection
        self._report = report
        self._waiting: dict[type[AnyHistory], list[tuple[object, ...]]] = {
            HistoryEntry: [],
            HistoryChange: [],
        }
        self._is_prepared = False

    async def add(self, record: AnyHistory, line: int) -> list[Fault]:
        """Take a record; return what was wrong with a batch, none of which is kept then."""
        waiting = self._waiting[type(record)]
        waiting.append((*_values(record), line))
        return await self.flush() if len(waiting) >= _BATCH else []

    async def flush(self) -> list[Fault]:
        """Write what waits; return what was wrong with it."""
        faults = []
        for model in HISTORY:
            waiting, self._waiting[model] = self._waiting[model], []
            if waiting:
                faults += await self._write(model, waiting)
        return faults

    async def note_heads(self) -> None:
        """Let the invoices keep what they kept of their records; once they are written."""
        if self._is_prepared:
            await self._connection.execute(text(_NOTE_HEADS))

    async def _write(
        self, model: type[AnyHistory], rows: Sequence[tuple[object, ...]]
    ) -> list[Fault]:
        if not self._is_prepared:
            for statement in _TABLES:
                await self._connection.execute(text(statement))
            self._is_prepared = True
        table, statements = _OF[model]
        try:
            async with self._connection.begin_nested():
                raw = (await self._connection.get_raw_connection()).driver_connection
                if raw is None:  # pragma: no cover - only after the connection was closed
                    raise RuntimeError("the connection is closed")
                await raw.copy_records_to_table(table, records=rows)
                taken = [
                    (await self._connection.execute(text(statement))).rowcount
                    for statement in statements
                ]
        except Exception as error:
            reason = errors.reason(error)
            if reason is None:
                raise
            first, last = rows[0][-1], rows[-1][-1]
            return [Fault(int(str(first)), f"the record of changes up to line {last}: {reason}")]
        counts = self._report.of(str(model.model_fields["kind"].default))
        counts.created += taken[1]
        counts.unchanged += len(rows) - taken[1]
        return []


def _values(record: AnyHistory) -> tuple[Any, ...]:
    if isinstance(record, HistoryChange):
        return (
            record.uuid,
            record.change,
            record.of,
            record.subject,
            record.was,
            record.became,
        )
    return (
        record.uuid,
        record.change,
        record.sequence,
        record.recorded_at,
        record.operation,
        record.user,
        record.username,
        record.token,
        record.request_id,
        record.impersonator,
        record.impersonator_username,
        record.comment,
        record.data,
        bytes.fromhex(record.previous),
        bytes.fromhex(record.hash),
        None if record.head is None else bytes.fromhex(record.head),
    )


_TABLES: Final = (
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
    # Invoices of which something was noted here that no entry seals.
    f"""
CREATE TEMPORARY TABLE import_history_here ON COMMIT DROP AS
SELECT DISTINCT invoice_uuid FROM ({UNSEALED}) AS unsealed
""",  # noqa: S608 - made of constants
    # The invoices whose record comes from this import, and what they kept of it.
    """
CREATE TEMPORARY TABLE import_history_of (
    invoice_uuid uuid PRIMARY KEY, history_count bigint, history_head bytea
) ON COMMIT DROP
""",
)


def _take(table: str) -> str:
    return f"""
INSERT INTO import_history_of (invoice_uuid)
SELECT DISTINCT invoice_uuid FROM {table} AS given
WHERE NOT EXISTS (
    SELECT FROM invoice_history AS e WHERE e.invoice_uuid = given.invoice_uuid
) AND NOT EXISTS (
    SELECT FROM import_history_here AS here WHERE here.invoice_uuid = given.invoice_uuid
)
ON CONFLICT DO NOTHING
"""  # noqa: S608 - made of constants


_OF: Final[dict[type[AnyHistory], tuple[str, tuple[str, ...]]]] = {
    HistoryEntry: (
        "import_history_entry",
        (
            _take("import_history_entry"),
            """
INSERT INTO invoice_history (
    change, invoice_uuid, sequence, recorded_at, operation, user_uuid, username, token,
    request_id, impersonator_uuid, impersonator_username, comment, data, previous, hash
)
SELECT change, invoice_uuid, sequence, recorded_at, operation, user_uuid, username, token,
       request_id, impersonator_uuid, impersonator_username, comment, data::jsonb, previous, hash
FROM import_history_entry JOIN import_history_of USING (invoice_uuid)
ORDER BY line
""",
            """
UPDATE import_history_of AS kept SET history_count = given.sequence, history_head = given.head
FROM import_history_entry AS given
WHERE given.invoice_uuid = kept.invoice_uuid AND given.head IS NOT NULL
""",
            "TRUNCATE import_history_entry",
        ),
    ),
    HistoryChange: (
        "import_history_change",
        (
            _take("import_history_change"),
            """
INSERT INTO invoice_changes (change, invoice_uuid, kind, subject, was, became)
SELECT change, invoice_uuid, kind, subject, was::jsonb, became::jsonb
FROM import_history_change JOIN import_history_of USING (invoice_uuid)
ORDER BY line
""",
            "TRUNCATE import_history_change",
        ),
    ),
}
"""By kind: where records are copied to, and what is then executed; the second inserts them."""

_NOTE_HEADS: Final = """
UPDATE invoices
SET history_count = kept.history_count, history_head = kept.history_head
FROM import_history_of AS kept
WHERE invoices.uuid = kept.invoice_uuid AND invoices.history_count = 0
    AND kept.history_count IS NOT NULL
"""
